# SPDX-License-Identifier: Apache-2.0
"""The Python API: `from compile import tune, build, load`; docs/api.md shows them at work.

`tune` fills a log, `build` makes an artifact folder with the log's best records, `load` opens one to run
it. They take the names that the command line takes, and raise UserError with what to do next.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnc.compile.artifact.paths import artifact_folder
from mnc.compile.records.paths import log_path
from mnc.support.checkout import committed_logs
from mnc.support.errors import UserError
from mnc.targets import Target
from mnc.targets import load as load_target

if TYPE_CHECKING:
    from mnc.compile.artifact.store import Artifact
    from mnc.compile.frontend.tasks import TunableTask
    from mnc.compile.measure.measurer import Measurer
    from mnc.compile.records.family_choice import Choice
    from mnc.compile.runtime.session import Session
    from mnc.compile.tuning.rerank import RerankSummary as Reranked
    from mnc.compile.tuning.tuner import Observer, TuningSummary
    from mnc.model.zoo import Model

LOGS = committed_logs()
OUT = Path("build")
MOBILENET_KINDS = ("pointwise", "depthwise", "fused")  # nearly all of a MobileNet's work


def tune(
    model: "str | Model",
    target: str | Path | Target = "host",
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
    from mnc.compile.measure.factory import How, kind
    from mnc.compile.measure.factory import open_measurer as open_chosen
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.tuning.transfer import of_other_logs
    from mnc.compile.tuning.tuner import TuningOptions
    from mnc.compile.tuning.tuner import tune as search

    network, device_target = _model(model), _target(target)
    how = How(device=device, simulate=simulate, threads=threads)
    measured_by = kind(device_target, how)  # before a log is made for what cannot be measured
    selected = select_tasks(network, device_target, tasks)
    with (
        TuningLog.open(
            log_path(logs, device_target.name, network.name),
            exclusive=True,
            target=device_target.tvm_target(),
        ) as tuning_log,
        open_chosen(device_target, how) as measurer,
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
    if reranking and summary.trials and measured_by != "simulated":
        with contextlib.suppress(UserError):  # the tuning is none the worse for it
            rerank(network, device_target, device=device, threads=threads or 1, logs=logs)
    return summary


def build(
    model: "str | Model",
    target: str | Path | Target = "host",
    *,
    out: Path = OUT,
    logs: Path = LOGS,
    cc: str | None = None,
) -> "Artifact":
    """Compile `model` for `target` with the best verified records of its log, and write the artifact.

    It goes to `out`/<target>/<model>/, whole or not at all. `cc` is the C compiler to link with.
    """
    from mnc.compile.artifact import store, writer
    from mnc.compile.codegen import network as builder
    from mnc.compile.records.family_choice import chosen
    from mnc.compile.records.tuning_log import TuningLog

    network, device_target = _model(model), _target(target)
    folder = artifact_folder(out, device_target, network)
    store.check_replaceable(folder)
    log = log_path(logs, device_target.name, network.name)
    trials = TuningLog.open(log, exclusive=False, target=device_target.tvm_target()).trials
    choice = chosen(log)
    built = builder.build(network, device_target, trials, family=choice.family)
    spec = model if isinstance(model, str) else network.name
    return writer.save(
        built, network, device_target, folder, spec=spec, log=log, cc=cc, choice=choice
    )


def rerank(
    model: "str | Model",
    target: str | Path | Target = "host",
    *,
    device: str | None = None,
    threads: int = 1,
    keep: int = 4,
    logs: Path = LOGS,
    say: Callable[[str], None] = lambda _: None,
) -> "Reranked":
    """Time the `keep` best configs of each task inside the real network, here or on `device`; the log then
    has trials that builds prefer to those of kernels timed alone.
    """
    from mnc.compile.records.family_choice import chosen
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.templates.families import BLOCKED
    from mnc.compile.tuning import layer_timing
    from mnc.compile.tuning import rerank as stage

    network, device_target = _model(model), _target(target)
    log = log_path(logs, device_target.name, network.name)
    if (families := chosen(log).family) != BLOCKED:
        raise UserError(
            f"builds of {network.name} use family {families}, which has no tuned configs"
        )
    clock = layer_timing.open_clock(device_target, device=device, threads=threads)
    with TuningLog.open(log, exclusive=True, target=device_target.tvm_target()) as tuning_log:
        options = stage.RerankOptions(keep=keep)
        return stage.rerank(network, device_target, tuning_log, clock, options=options, say=say)


def choose_family(
    model: "Model",
    target: Target,
    *,
    device: str | None,
    threads: int | None,
    simulate: bool = False,
    logs: Path = LOGS,
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda _: None,
) -> "Choice":
    """Time the whole network in every family of kernels, here, on `device` or by the core model, and keep the
    fastest beside its log, where builds find it.
    """
    from mnc.compile.measure.factory import How
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.tuning import families, network_timing

    how = How(device=device, simulate=simulate, threads=threads)
    timer, measurer = network_timing.timer(model, target, how, seconds=seconds)
    log = log_path(logs, target.name, model.name)
    trials = TuningLog.open(log, exclusive=False, target=target.tvm_target()).trials
    return families.choose(model, target, trials, timer, log=log, measurer=measurer, say=say)


def load(folder: Path | str, *, threads: int | None = None, device: str | None = None) -> "Session":
    """Check an artifact's files by hash, load its native code, and give a Session to run it with.

    `session.run(array)` gives the outputs, `session.top(logits)` the likeliest labels. `threads` is all
    cores by default; with `device` it runs there. Only load artifacts from people you trust.
    """
    from mnc.compile.artifact import store

    checked = store.load(Path(folder))
    if device is not None:
        from mnc.compile.runtime.remote_session import RemoteSession

        remote: Any = RemoteSession(checked, device, threads=threads)
        return remote  # type: ignore[no-any-return]
    from mnc.compile.runtime.session import Session

    return Session(checked, threads=threads)


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


def open_measurer(
    target: Target, *, device: str | None, threads: int | None, allow_emulated: bool = False
) -> "Measurer":
    """A local measurer for this machine's own target, a remote one with `device`, else a simulated one."""
    from mnc.compile.measure.factory import How
    from mnc.compile.measure.factory import open_measurer as open_chosen

    how = How(device=device, threads=threads, allow_emulated=allow_emulated)
    return open_chosen(target, how)


def _model(model: "str | Model") -> "Model":
    from mnc.model import zoo

    return zoo.load(model) if isinstance(model, str) else model


def _target(target: str | Path | Target) -> Target:
    return target if isinstance(target, Target) else load_target(target)
