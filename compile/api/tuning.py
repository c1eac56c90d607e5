# SPDX-License-Identifier: Apache-2.0
"""From a model and a target to a log: the search, the last step in the network, the choice of a family."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api.named import LOGS, as_model, as_target
from mnc.compile.records.paths import log_path
from mnc.support.errors import UserError
from mnc.targets import Target

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget
    from mnc.compile.frontend.tasks import TunableTask
    from mnc.compile.records.family_choice import Choice
    from mnc.compile.tuning.progress import Observer, TuningSummary
    from mnc.compile.tuning.rerank import RerankSummary as Reranked
    from mnc.model.zoo import Model

MOBILENET_KINDS = ("pointwise", "depthwise", "fused")  # nearly all of a MobileNet's work


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
    simulate: bool = False,
    logs: Path = LOGS,
    observer: "Observer | None" = None,
) -> "TuningSummary":
    """Search the best kernels of `model` for `target`; every trial is in the log the moment it is known.

    `trials` is the budget of all tasks together, those in the log included (None: 64 a task). `tasks` are
    kinds, as in ("pointwise", "depthwise"); `tuner` is xgb, random, grid or ga. Costs are measured here,
    or on `device` ("rpc://host:port/key"), with kernels on `threads` threads (None: 1); for a target that
    is not this machine and no `device`, or with `simulate`, they are simulated (None: every fast core).
    Stop it at any time and call it again: it goes on where it was. With `reranking`, new trials are followed
    by `rerank`, where that can be done.
    """
    from mnc.compile.device.opening import open_device
    from mnc.compile.device.options import DeviceOptions
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.tuning.transfer import of_other_logs
    from mnc.compile.tuning.tuner import TuningOptions
    from mnc.compile.tuning.tuner import tune as search

    network, device_target = as_model(model), as_target(target)
    # Before a log is made for what cannot be measured.
    place = open_device(
        device_target, DeviceOptions(address=device, simulate=simulate, threads=threads)
    )
    selected = select_tasks(network, device_target, tasks)
    with (
        TuningLog.open(
            log_path(logs, device_target.name, network.name),
            exclusive=True,
            target=device_target.tvm_target(),
        ) as tuning_log,
        place.measurer() as measurer,
    ):
        options = TuningOptions(trials=trials, tuner=tuner, force=force)
        summary = search(
            selected,
            device_target,
            tuning_log,
            measurer,
            options=options,
            observer=observer,
            transfer=of_other_logs(
                tuning_log.path, device_target.tvm_target(), measurer.describe()
            ),
        )
    if reranking and summary.trials and place.times_layers:
        with contextlib.suppress(UserError):  # the tuning is none the worse for it
            rerank(network, device_target, device=device, threads=threads or 1, logs=logs)
    return summary


def rerank(
    model: "AnyModel",
    target: "AnyTarget" = "host",
    *,
    device: str | None = None,
    threads: int = 1,
    keep: int = 4,
    logs: Path = LOGS,
) -> "Reranked":
    """Time the `keep` best configs of each task inside the real network, here or on `device`; the log then
    has trials that builds prefer to those of kernels timed alone.
    """
    from mnc.compile.device.opening import open_device
    from mnc.compile.device.options import DeviceOptions
    from mnc.compile.records.family_choice import chosen
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.templates.families import BLOCKED
    from mnc.compile.tuning import rerank as stage

    network, device_target = as_model(model), as_target(target)
    log = log_path(logs, device_target.name, network.name)
    if (families := chosen(log).family) != BLOCKED:
        raise UserError(
            f"builds of {network.name} use family {families}, which has no tuned configs"
        )
    place = open_device(device_target, DeviceOptions(address=device, threads=threads))
    timer = place.layer_timer()
    with TuningLog.open(log, exclusive=True, target=device_target.tvm_target()) as tuning_log:
        options = stage.RerankOptions(keep=keep)
        return stage.rerank(network, device_target, tuning_log, timer, options=options)


def choose_family(
    model: "Model",
    target: Target,
    *,
    device: str | None,
    threads: int | None,
    simulate: bool = False,
    logs: Path = LOGS,
    seconds: float = 3.0,
) -> "Choice":
    """Time the whole network in every family of kernels, here, on `device` or by the core model, and keep the
    fastest beside its log, where builds find it.
    """
    from mnc.compile.device.opening import open_device
    from mnc.compile.device.options import DeviceOptions
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.tuning import families

    place = open_device(target, DeviceOptions(address=device, simulate=simulate, threads=threads))
    timer = place.network_timer(seconds=seconds)
    log = log_path(logs, target.name, model.name)
    trials = TuningLog.open(log, exclusive=False, target=target.tvm_target()).trials
    return families.choose(model, target, trials, timer, log=log)


def select_tasks(
    model: "Model", target: Target, kinds: Sequence[str] | None = None
) -> "tuple[TunableTask, ...]":
    """The tasks of `kinds` (None: what matters in this network); UserError when it has none of them."""
    from mnc.compile.frontend import importer, tasks

    if kinds is None:
        kinds = MOBILENET_KINDS if model.name.startswith("mobilenet") else ("all",)
    found = tasks.extract_all(importer.import_model(model, target), target)
    selected = tasks.select(found, kinds)
    if not selected:
        raise UserError(f"{model.name} has no task of kind {', '.join(kinds)}; see `mnc tasks`")
    return selected
