# SPDX-License-Identifier: Apache-2.0
"""What recorded kernels cost on recorded cores: proof that a change of the simulator's form changes no cost.

Takes `recorded/`: object files, their arguments (kernels.json), cores with all that prices them (cores.json).
Gives exact costs; run as a module, it writes those of the code as it is to costs.json.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from mnc.compile.simulator.kernel import Executed, Kernel, Simulation
from mnc.compile.simulator.program import DecodedProgram
from mnc.compile.simulator.simulate import decode, simulate
from mnc.targets import Target

HERE = Path(__file__).parent / "recorded"
COSTS = HERE / "costs.json"
ANOTHER_MODEL = """\
Other costs are another core model, whose trials must not be compared with those of the logs: give this code
no name in NAMES of compile/simulator/identity.py, and tune the simulated targets anew."""
# By the beginning of a kernel's name: the cores it is run on.
CORES = {
    "aarch64": ("cortex-a53", "cortex-a55", "cortex-a72", "cortex-a73", "cortex-a76"),
    "arm": ("cortex-a7", "cortex-a9"),
    "avx2": ("skylake", "znver4"),
    "avx512": ("sapphirerapids", "znver4"),
}


class RecordedKernel(msgspec.Struct, frozen=True):
    """Of the object file of the same name: what it was made of, and its buffers as `Kernel` has them."""

    what: str
    arguments: tuple[tuple[tuple[int, ...], str, bool], ...]


class Cost(msgspec.Struct, frozen=True):
    """A `Simulation` to the last bit: floats in hexadecimal, the listing as a hash."""

    cycles: str
    seconds: str
    spill_cycles: str
    causes: dict[str, str]
    counts: dict[str, int]
    misses: tuple[int, ...]
    listing: str


@dataclass(frozen=True)
class Case:
    """A kernel and a core, by their names in the recording, and how the kernel is called."""

    kernel: str
    core: str
    state: Literal["warm", "cold"]
    threads: int = 1
    exact: bool = False
    unwritten: tuple[int, ...] = ()

    def __str__(self) -> str:
        how = f"{self.state} {self.threads}{' exact' * self.exact}{' unwritten' * bool(self.unwritten)}"
        return f"{self.kernel} {self.core} {how}"


def cases() -> tuple[Case, ...]:
    """Every kernel on every core of its kind; on few: long ones, of which a sample is timed, and zeros."""
    return tuple(_cases())


def _cases() -> Iterator[Case]:
    for kernel in kernels():
        cores = CORES[kernel.partition("-")[0]]
        if kernel.endswith("long"):
            yield Case(kernel, cores[0], "cold", 2)
            yield Case(kernel, cores[-1], "warm")
            continue
        for core in cores:
            yield Case(kernel, core, "warm")
            yield Case(kernel, core, "cold", 2)
    yield Case("aarch64-long", "cortex-a76", "warm", exact=True)
    yield Case("aarch64-pointwise", "cortex-a72", "warm", unwritten=(0, 1))
    yield Case("avx512-pointwise", "sapphirerapids", "cold", 16)


def cost(case: Case) -> Cost:
    """What it is by the code as it is."""
    kernel, decoded = _kernel(case.kernel)
    found = simulate(
        replace(kernel, unwritten=case.unwritten),
        _cores()[case.core],
        threads=case.threads,
        state=case.state,
        exact=case.exact,
        decoded=decoded,
    )
    return _to_the_last_bit(found)


def recorded() -> dict[str, Cost]:
    """What it is to be, by the case as text."""
    return msgspec.json.decode(COSTS.read_bytes(), type=dict[str, Cost])


def kernels() -> dict[str, RecordedKernel]:
    """All that are recorded."""
    return msgspec.json.decode((HERE / "kernels.json").read_bytes(), type=dict[str, RecordedKernel])


@functools.cache
def _kernel(name: str) -> tuple[Kernel, DecodedProgram]:
    kernel = Kernel((HERE / f"{name}.o").read_bytes(), kernels()[name].arguments)
    return kernel, decode(kernel)


@functools.cache
def _cores() -> dict[str, Target]:
    return msgspec.json.decode((HERE / "cores.json").read_bytes(), type=dict[str, Target])


def _to_the_last_bit(of: Simulation) -> Cost:
    counted = "instructions flops loads stores spill_loads spill_stores dram_lines tlb_misses mispredicted"
    return Cost(
        cycles=of.cycles.hex(),
        seconds=of.seconds.hex(),
        spill_cycles=of.spill_cycles.hex(),
        causes={cause.name: cycles.hex() for cause, cycles in of.causes},
        counts={name: getattr(of, name) for name in counted.split()},
        misses=of.misses,
        listing=_digest(of.listing),
    )


def _digest(listing: tuple[Executed, ...]) -> str:
    """Of how often each instruction ran and where its cycles went."""
    rows = [
        (one.line.address, one.count, [(cause.name, cycles.hex()) for cause, cycles in one.causes])
        for one in listing
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def main() -> None:
    """Record the costs of the code as it is."""
    made = {str(case): cost(case) for case in cases()}
    changed = made != recorded() if COSTS.exists() else False
    rows = [
        f"{msgspec.json.encode(name).decode()}: {msgspec.json.encode(one).decode()}"
        for name, one in made.items()
    ]
    COSTS.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
    print(f"{len(made)} costs in {COSTS.name}. {ANOTHER_MODEL if changed else 'None has changed.'}")


if __name__ == "__main__":
    main()
