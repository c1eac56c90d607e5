# SPDX-License-Identifier: Apache-2.0
"""From a model and a target to a log: the search, the last step in the network, the choice of a family."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mnc.compile.api.families import choose_on
from mnc.compile.api.named import LOGS, as_model, as_target
from mnc.compile.api.reranking import rerank_on
from mnc.compile.device.device import Device
from mnc.compile.device.opening import open_device
from mnc.compile.device.options import DeviceOptions
from mnc.compile.records.family_choice import chosen
from mnc.compile.records.paths import log_path
from mnc.compile.records.ranking import reranking_due
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.tuning.options import (
    RerankOptions,
    SearchOptions,
    TuningOptions,
)
from mnc.compile.tuning.progress import Observer, TuningSummary
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget
    from mnc.compile.codegen.network import Prepared
    from mnc.compile.frontend.tasks import TunableTask
    from mnc.compile.records.trial import Trial
    from mnc.model.zoo import Model

logger = logging.getLogger(__name__)


def tune(
    model: "AnyModel",
    target: "AnyTarget" = "host",
    *,
    trials: int | None = None,
    tasks: Sequence[str] | None = None,
    tuner: str = "xgb",
    force: bool = False,
    reranking: bool = True,
    threads: int | None = None,
    device: str | None = None,
    allow_emulated: bool = False,
    simulate: bool = False,
    workers: int | None = None,
    tracker: str | None = None,
    like: str | Path | None = None,
    logs: Path = LOGS,
    observer: Observer | None = None,
) -> TuningSummary:
    """Search the best kernels of `model` for `target`; every trial is in the log the moment it is known.

    `trials` is the budget of all tasks together, those in the log included (None: 64 a task,
    fewer of one that no longer gets better). `tasks` are
    kinds, as in ("pointwise", "depthwise") (None: all); `tuner` is xgb, random, grid or ga; `force` measures
    again what the log has. What the log of the target `like` has found best is tried first, and on a CPU that
    no log knows, what is best on others.

    Costs are measured here, or on `device` ("rpc://host:port/key"; an emulated one only if `allow_emulated`),
    with kernels on `threads` threads (None: 1). For a target that is not this machine and no `device`, or
    with `simulate`, they are simulated (None: every fast core), by `workers` processes here or on the
    machines that have joined `tracker` ("host:port").

    Stop it at any time and call it again: it goes on where it was. With `reranking`, trials that no `rerank`
    has followed yet are followed by one, where that can be done; that it fails is in the summary. On anything
    but this machine comes `choose_family` then.
    """
    options = TuningOptions(
        logs=logs,
        search=SearchOptions(trials=trials, tuner=tuner, force=force),
        device=DeviceOptions(
            address=device,
            allow_emulated=allow_emulated,
            simulate=simulate,
            workers=workers,
            tracker=tracker,
            threads=threads,
        ),
        rerank=RerankOptions() if reranking else None,
        kinds=None if tasks is None else tuple(tasks),
        like=like,
    )
    return tune_with(model, target, options, observer)


def tune_with(
    model: "AnyModel", target: "AnyTarget", options: TuningOptions, observer: Observer | None = None
) -> TuningSummary:
    """As `tune`, with all options in one value."""
    cpu = as_target(target)  # first: a wrong name is said before PyTorch and TVM are loaded
    from mnc.compile.codegen.network import prepare
    from mnc.compile.frontend import tasks

    device = open_device(cpu, options.device)  # before anything is begun that cannot be measured
    if device.note is not None:
        logger.info("%s", device.note)
    network = as_model(model, cpu)
    path = log_path(options.logs, cpu.name, network.name)
    prepared = prepare(network, cpu)
    wanted = options.kinds or ("all",)
    useful = [t for t in prepared.tasks if device.times_layers or not t.only_in_network]
    found = tasks.select(useful, wanted)
    if not found:
        raise UserError(f"{network.name} has no task of kind {', '.join(wanted)}; see `mnc tasks`")
    summary = search(found, path, device, options, observer)
    if options.rerank is not None and device.times_layers and _is_due(network, device, options):
        summary = _reranked(network, prepared, device, options, summary)
    if device.times_families and network.precision == "float32":  # only ours are of integers
        choice = choose_on(device, network, options.logs)
        summary = msgspec.structs.replace(summary, family=choice)
        followed = chosen(path)  # not an emulator's
        logger.info("builds use family %s; %s", followed.family, followed.why)
    return summary


def _is_due(network: "Model", device: Device, options: TuningOptions) -> bool:
    """Whether the step in the network is to come, by the log: it may have been killed before."""
    path = log_path(options.logs, device.target.name, network.name)
    trials = TuningLog.open(path, exclusive=False, target=device.target.tvm_target()).trials
    return reranking_due(trials, threads=device.kernel_threads)


def search(
    tasks: "Sequence[TunableTask]",
    path: Path,
    device: Device,
    options: TuningOptions,
    observer: Observer | None = None,
) -> TuningSummary:
    """Spend the budget on `tasks`, every trial in the log at `path`."""
    from mnc.compile.tuning.tuner import tune as spend

    target, precision = device.target, _precision(tasks)
    # Before the measurer's processes start: they would take the cores whose peak is timed.
    threads = device.kernel_threads
    peak = None if observer is None else device.peak_gflops(threads, dtype=precision)
    with (
        TuningLog.open(path, exclusive=True, target=target.tvm_target()) as tuning_log,
        device.measurer(precision=precision) as measurer,
    ):
        for reason, count in tuning_log.skipped.items():
            logger.warning("%s: %d lines are left out: %s", path, count, reason)
        logger.info("%d tasks, log %s, measured by %s", len(tasks), path, measurer.describe())
        known = {one.key for one in tuning_log.trials if one.measurer == measurer.describe()}
        transfer, examples = _others(
            path, target, measurer.describe(), options, begun=known >= {task.key for task in tasks}
        )
        return spend(
            tasks,
            target,
            tuning_log,
            measurer,
            options=options.search,
            observer=observer,
            transfer=transfer,
            examples=(*_like(path, options), *examples),
            peak_gflops=peak,
        )


def _precision(tasks: "Sequence[TunableTask]") -> Precision:
    """The network's: one in others than float32 may have layers in that."""
    return next((task.precision for task in tasks if task.precision != "float32"), "float32")


def _others(
    path: Path, target: Target, measurer: str, options: TuningOptions, *, begun: bool
) -> "tuple[Sequence[Trial], Sequence[Sequence[Trial]]]":
    """What this CPU's logs of other networks teach; where there is none, and not every task is `begun`, other
    CPUs' logs and their best.
    """
    from mnc.compile.tuning.other_cpus import of_other_cpus
    from mnc.compile.tuning.transfer import of_other_logs

    transfer = of_other_logs(path, target.tvm_target(), measurer)
    if transfer:
        logger.info("starting from %d trials of other networks in %s", len(transfer), path.parent)
        return transfer, ()
    nearby = () if begun else of_other_cpus(options.logs, target)
    if not nearby:
        return (), ()
    models = ", ".join(str(group[0].model) for group in nearby[:2])
    logger.info("starting from what is known of %d other CPUs, nearest: %s", len(nearby), models)
    return nearby[0], nearby


def _like(path: Path, options: TuningOptions) -> "Sequence[Sequence[Trial]]":
    """The trials of the log of the target that this one is like."""
    if options.like is None:
        return ()
    known = log_path(options.logs, as_target(options.like).name, path.stem)
    trials = TuningLog.open(known, exclusive=False).trials
    if not trials:
        logger.warning(
            "%s has no trials to begin with; tune %s first, or leave out --like",
            known,
            options.like,
        )
    return (trials,)


def _reranked(
    network: "Model",
    prepared: "Prepared",
    device: Device,
    options: TuningOptions,
    summary: TuningSummary,
) -> TuningSummary:
    """The summary with what came of the last step; that it could not be done is no failure of the tuning."""
    try:
        found = rerank_on(
            device, network, options.rerank or RerankOptions(), options.logs, prepared
        )
    except UserError as error:
        logger.warning("configs are not tried in the network: %s", error)
        return msgspec.structs.replace(summary, rerank_failure=str(error))
    logger.info("%s", found)
    return msgspec.structs.replace(summary, reranked=found)
