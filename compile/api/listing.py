# SPDX-License-Identifier: Apache-2.0
"""What there is: models and their costs, targets, tasks, artifacts, and what this machine can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnc import targets as catalog
from mnc.compile.api.named import LOGS, OUT, as_model, as_target, read_log
from mnc.compile.artifact.manifest import MANIFEST
from mnc.compile.machine.peaks import Figures
from mnc.model import names
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import Target, TargetRow

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget
    from mnc.compile.frontend.tasks import TunableTask
    from mnc.compile.records.trial import Trial
    from mnc.model.cost import Cost
    from mnc.model.overview import Overview


@dataclass(frozen=True)
class TaskRow:
    """A tunable task: `share` of the network's multiply-adds (0 to 1), size of its space, and of the log the
    configs tried, the best rate and whether a core model gave it. Fused pairs are other ways to do what two
    tasks do, so their shares are not part of the sum.
    """

    kind: str
    shape: str
    calls: int
    share: float
    configs: int
    trials: int
    best_gflops: float | None
    simulated: bool


@dataclass(frozen=True)
class MachineReport:
    """What the machine that `target` describes can do, for each number of threads."""

    target: Target
    figures: tuple[Figures, ...]


def model_names() -> tuple[str, ...]:
    """The zoo's names; any other width and resolution can be named as well."""
    return names.names()


def target_names() -> tuple[str, ...]:
    """Every target there is a file of, and `host`."""
    return (catalog.HOST, *catalog.names())


def artifact_folders(out: Path = OUT) -> tuple[Path, ...]:
    """The artifacts under a folder that `build` writes to."""
    return tuple(sorted(path.parent for path in out.glob(f"*/*/{MANIFEST}")))


def models() -> "tuple[Overview, ...]":
    """The zoo, with what each network costs. No weights are made or fetched."""
    from mnc.model.overview import overviews

    return overviews()


def layers(model: "AnyModel") -> "Cost":
    """What each layer of a model costs. UserError for TorchScript, which hides them."""
    network = as_model(model)
    from mnc.model.cost import cost

    try:
        return cost(network.module, *(one.shape for one in network.inputs))
    except ValueError as error:
        raise UserError(f"{network.spec}: {error}, so they cannot be counted") from None


def targets() -> tuple[TargetRow, ...]:
    """The targets, with their cores, vectors and peaks."""
    return tuple(catalog.rows())


def tasks(
    model: "AnyModel", target: "AnyTarget" = "host", *, logs: Path = LOGS
) -> tuple[TaskRow, ...]:
    """The tunable tasks of `model` on `target`, and what the log says of each."""
    cpu = as_target(target)
    network = as_model(model, cpu)
    from mnc.compile.frontend.tasks import of_model

    found = of_model(network, cpu)
    trials = read_log(network, cpu, logs).trials
    total = sum(task.macs * task.calls for task in found if task.kind != "fused") or 1
    return tuple(_row(task, trials, total) for task in found)


def _row(task: "TunableTask", trials: "Sequence[Trial]", total: int) -> TaskRow:
    from mnc.compile.records.ranking import best, current

    known = current(trials, task.task)
    top = best(known, task.key)
    return TaskRow(
        kind=task.kind,
        shape=task.shape,
        calls=task.calls,
        share=task.macs * task.calls / total,
        configs=len(task.task.config_space),
        trials=len({trial.config.index for trial in known}),
        best_gflops=task.flops / top.cost / 1e9 if top else None,
        simulated=top is not None and top.simulated,
    )


def machine(target: "AnyTarget" = "host", *, fresh: bool = False) -> MachineReport:
    """Measure float32 multiply-adds and reading from each level of memory, on one core and on all; from the
    cache unless `fresh`. UserError when `target` is not this machine.
    """
    from mnc.compile.machine.peaks import figures

    cpu = as_target(target)
    counts = sorted({1, cpu.fast.count})
    with working("measuring this machine"):
        return MachineReport(cpu, tuple(figures(cpu, count, fresh=fresh) for count in counts))
