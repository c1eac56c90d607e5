# SPDX-License-Identifier: Apache-2.0
"""Random configs of workloads, timed on this machine's core by the local measurer; the libraries are kept.

Takes a folder and workloads (`host_workloads`); gives `HostTiming`s. What the folder holds already is not
timed again, so that a model can be priced many times against the same timings.
"""

import hashlib
import math
import random
import shutil
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.core_model.host_workloads import task_of
from mnc.compile.frontend.tasks import TunableTask
from mnc.compile.measure.local import LocalMeasurer
from mnc.compile.measure.messages import Compiled, Outcome, TaskSpec, Timed
from mnc.compile.measure.options import LocalOptions
from mnc.support.errors import UserError
from mnc.support.files import write_atomic
from mnc.targets import load

TIMINGS = "timings.json"
BATCH = 16  # libraries at once in memory
# Timings of a config, of which the fastest counts: whatever else runs here only adds to them. Every other one
# belongs to one half, and the halves tell how well this machine agrees with itself.
ROUNDS = 4


class HostTiming(msgspec.Struct, frozen=True, kw_only=True):
    """One config of a workload as this machine ran it. `library` is a file beside the timings; `arguments`
    its buffers in calling order (shape, dtype, whether it is written). `halves` are the seconds by each half
    of the timings; older files have none.
    """

    workload: str
    index: int
    seconds: float
    library: str
    arguments: tuple[tuple[tuple[int, ...], str, bool], ...]
    halves: tuple[float, float] | None = None


class Kept(msgspec.Struct, frozen=True):
    """What is known of a library that was timed, besides its cost."""

    library: str
    kernel: Compiled
    halves: tuple[float, float]


class KeepingMeasurer(LocalMeasurer):
    """A LocalMeasurer that leaves a copy of each library it times in `folder`; `kept` names the last."""

    folder: Path
    kept: Kept | None = None

    def _run(
        self, spec: TaskSpec, library: str, kernel: Compiled, reference: str | None
    ) -> Outcome:
        code = Path(library).read_bytes()
        name = f"{hashlib.sha256(spec.key.encode() + code).hexdigest()[:16]}.so"
        shutil.copyfile(library, self.folder / name)
        run = super()._run  # comprehensions have no super
        rounds = [run(spec, library, kernel, reference) for _ in range(ROUNDS)]
        first, second = (min(map(_median, rounds[half::2])) for half in (0, 1))
        self.kept = Kept(name, kernel, (first, second))
        return min(rounds, key=_median)


def _median(outcome: Outcome) -> float:
    return statistics.median(outcome.costs) if isinstance(outcome, Timed) else math.inf


def time_configs(
    folder: Path, workloads: Sequence[str], *, count: int, seed: int, tell: Callable[[str], None]
) -> list[HostTiming]:
    """Time `count` random configs of each workload that the folder lacks, on one thread. UserError."""
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(folder)
    have = {one.workload for one in known}
    missing = [workload for workload in workloads if workload not in have]
    if missing:
        target = load("host")
        jobs = [(workload, task_of(workload, target)) for workload in missing]
        with KeepingMeasurer(target, options=LocalOptions(verify=False)) as measurer:
            measurer.folder = folder
            for workload, task in jobs:
                known += _timed(measurer, task, workload, sample(task, count, seed))
                write_atomic(folder / TIMINGS, msgspec.json.encode(known))
                tell(f"timed {workload}")
    return [one for one in known if one.workload in workloads]


def sample(task: TunableTask, count: int, seed: int) -> list[Any]:
    """Different random configs of a task, fewer if its space has no more."""
    space = task.task.config_space
    indices = list(range(space.range_length))
    random.Random(seed).shuffle(indices)
    valid = [i for i in indices if space.is_index_valid(i)]
    return [space.get(i) for i in valid[:count]]


def _timed(
    measurer: KeepingMeasurer, task: TunableTask, workload: str, configs: Sequence[Any]
) -> Iterator[HostTiming]:
    for start in range(0, len(configs), BATCH):
        for trial in measurer.measure(task, configs[start : start + BATCH]):
            if trial.error is not None or measurer.kept is None:
                continue
            kept = measurer.kept
            yield HostTiming(
                workload=workload,
                index=trial.config.index,
                seconds=trial.cost,
                library=kept.library,
                arguments=tuple((a.shape, a.dtype, a.is_output) for a in kept.kernel.arguments),
                halves=kept.halves,
            )


def _read(folder: Path) -> list[HostTiming]:
    try:
        return msgspec.json.decode((folder / TIMINGS).read_bytes(), type=list[HostTiming])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise UserError(f"{folder / TIMINGS} is damaged ({error}); delete the folder") from None
