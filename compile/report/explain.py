# SPDX-License-Identifier: Apache-2.0
"""Why a kernel takes the time it takes on a core: its cycles by cause, its bounds, its hottest loops.

Takes a task of a network, the log's trials and a target; gives an `Explanation`, worked out by the core model
from the machine code of the config that a build would use.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mnc.compile.records.ranking import best_of_each, current
from mnc.compile.records.trial import Trial
from mnc.compile.simulator.identity import identity
from mnc.compile.simulator.listing import ListedInstruction, Loop, loops
from mnc.support.errors import UserError
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.frontend.tasks import TunableTask
    from mnc.compile.simulator.simulate import Executed, Simulation


@dataclass(frozen=True)
class Share:
    """Cycles of one cause, and their share of all."""

    cause: str
    cycles: float
    share: float


@dataclass(frozen=True)
class Bound:
    """The least seconds that one resource allows, and what it comes from."""

    resource: str
    seconds: float
    of: str


@dataclass(frozen=True)
class Explanation:
    """One kernel, one call. `spills` are loads and stores of the stack, `misses` lines from beyond each cache
    level, `loops` the innermost ones, hottest first.
    """

    kind: str
    shape: str
    calls: int
    cpu: str
    core: str
    threads: int
    model: str
    config: str
    origin: str
    seconds: float
    cycles: float
    instructions: int
    gflops: float
    bounds: tuple[Bound, ...]
    causes: tuple[Share, ...]
    spills: int
    spill_cycles: float
    misses: tuple[tuple[str, int], ...]
    loops: tuple[Loop, ...]

    @property
    def bound(self) -> Bound:
        """The resource that allows least."""
        return max(self.bounds, key=lambda bound: bound.seconds)

    @property
    def share_of_bound(self) -> float:
        """What is reached of it, 0 to 1."""
        return self.bound.seconds / self.seconds


def find(tasks: Sequence["TunableTask"], layer: str) -> "TunableTask":
    """The task of that number (from 1 on, as listed), of that name or shape, or the only one whose name holds
    the text. UserError when there is none, or more than one.
    """
    text = layer.strip()
    if text.isdecimal():
        if 1 <= int(text) <= len(tasks):
            return tasks[int(text) - 1]
        raise UserError(f"there is no layer {text}; give 1 to {len(tasks)}, or part of a name")
    text = text.lower()
    found = [task for task in tasks if text in (_name(task), task.shape.lower())] or [
        task for task in tasks if text and text in _name(task)
    ]
    if len(found) == 1:
        return found[0]
    some = ", ".join(repr(_name(task)) for task in (found or tasks)[:6])
    problem = f"{len(found)} layers are called" if found else "no layer is called"
    raise UserError(f"{problem} {layer!r}; choose one, such as {some}, or a number from 1 on")


def _name(task: "TunableTask") -> str:
    return f"{task.kind} {task.shape}".lower()


def explain(
    task: "TunableTask", target: Target, trials: Sequence[Trial], *, threads: int
) -> Explanation:
    """Simulate the config that a build would use. UserError when there is none or it cannot be simulated."""
    from mnc.compile.measure import compile_worker
    from mnc.compile.measure.messages import spec_of
    from mnc.compile.measure.simulate_worker import STATE, kernel_of
    from mnc.compile.simulator.simulate import simulate

    config, origin = _config(task, trials)
    module, arguments = compile_worker.build(spec_of(task), config.to_json_dict())
    kernel = kernel_of(module, arguments)
    found = simulate(kernel, target, threads=threads, state=STATE, exact=True)
    traffic = sum(math.prod(one.shape) * np.dtype(one.dtype).itemsize for one in arguments)
    levels = [f"L{level}" for level in range(1, len(found.misses) + 1)]
    return Explanation(
        kind=task.kind,
        shape=task.shape,
        calls=task.calls,
        cpu=target.fast.cpu,
        core=core_name(target),
        threads=threads,
        model=identity(target, precision=task.precision),
        config=_knobs(config),
        origin=origin,
        seconds=found.seconds,
        cycles=found.cycles,
        instructions=found.instructions,
        gflops=task.flops / found.seconds / 1e9,
        bounds=_bounds(task, target, found, traffic=traffic, threads=threads),
        causes=shares(found),
        spills=found.spill_loads + found.spill_stores,
        spill_cycles=found.spill_cycles,
        misses=tuple(zip(levels, found.misses, strict=True)),
        loops=loops([listed(one) for one in found.listing]),
    )


def _config(task: "TunableTask", trials: Sequence[Trial]) -> tuple[Any, str]:
    """The ConfigEntity, and where it comes from."""
    chosen = best_of_each(current(trials, task.task)).get(task.key)
    if chosen is not None:
        how = "simulated" if chosen.simulated else "measured"
        return chosen.config.to_entity(), f"the log's best, {how}: {chosen.cost * 1e6:.1f} us"
    from mnc.compile.tuning.search import default_config

    config = default_config(task.task)
    if config is None:
        raise UserError(f"{_name(task)} has no default config and no record; tune it first")
    return config, "the default: the log has no record"


def _knobs(config: Any) -> str:
    """Such as "tile_oc=2 tile_p=7"."""
    return " ".join(f"{name}={value.val}" for name, value in config._entity_map.items())


def core_name(target: Target) -> str:
    """Its fast cores, such as "cortex-a72 at 1.5 GHz"."""
    clock = f" at {target.fast.clock_ghz:g} GHz" if target.fast.clock_ghz else ""
    return f"{target.fast.cpu}{clock}"


def shares(found: "Simulation") -> tuple[Share, ...]:
    """Where the cycles went, most first."""
    causes = [Share(cause.label, cycles, cycles / found.cycles) for cause, cycles in found.causes]
    return tuple(sorted((one for one in causes if one.cycles), key=lambda one: -one.cycles))


def listed(executed: "Executed") -> ListedInstruction:
    """An executed instruction as loops are made of."""
    line = executed.line
    why = "" if executed.cause is None else executed.cause.label
    return ListedInstruction(line.address, line.text, executed.count, executed.cycles, why)


def _bounds(
    task: "TunableTask", target: Target, found: "Simulation", *, traffic: int, threads: int
) -> tuple[Bound, ...]:
    """Arithmetic at the cores' peak, which targets state of float32 alone, and every tensor once through
    memory.
    """
    clock = found.cycles / found.seconds / 1e9
    peak = target.fast.flops_per_cycle * clock * threads
    speed = target.memory.bandwidth(threads)
    arithmetic = Bound(
        "multiply-add peak",
        task.flops / peak / 1e9,
        f"{task.flops / 1e6:.1f} Mflop at {peak:.1f} GFLOP/s",
    )
    memory = Bound(
        "memory, each byte once",
        traffic / speed / 1e9,
        f"{traffic / 1e6:.2f} MB at {speed:g} GB/s",
    )
    return (arithmetic, memory) if task.precision == "float32" else (memory,)
