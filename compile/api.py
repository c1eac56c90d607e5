# SPDX-License-Identifier: Apache-2.0
"""The Python API: `from compile import tune, build, load`; docs/api.md shows them at work.

`tune` fills a log, `build` makes an artifact folder with the log's best records, `load` opens one to run
it. They take the names that the command line takes, and raise UserError with what to do next.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.errors import UserError
from targets import Target
from targets import load as load_target

if TYPE_CHECKING:
    from compile.artifact import Artifact
    from compile.family import Choice
    from compile.measure.base import Measurer
    from compile.rerank import Summary as Reranked
    from compile.runner import Session
    from compile.tasks import TunableTask
    from compile.tuner import Observer, Summary
    from model.zoo import Model

# Logs are committed beside the code; `pip install --editable` leaves them where they are.
LOGS = Path(__file__).resolve().parents[1] / "tuning_logs"
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
) -> "Summary":
    """Search the best kernels of `model` for `target`; every trial is in the log the moment it is known.

    `trials` is the budget of all tasks together, those in the log included (None: 64 a task). `tasks` are
    kinds, as in ("pointwise", "depthwise"); `tuner` is xgb, random, grid or ga. Costs are measured here,
    or on `device` ("rpc://host:port/key"), with kernels on `threads` threads (None: 1); for a target that
    is not this machine and no `device`, or with `simulate`, they are simulated (None: every fast core).
    Stop it at any time and call it again: it goes on where it was. With `reranking`, new trials are followed
    by `rerank`, where that can be done.
    """
    from compile.journal import Journal
    from compile.lessons import of_other_logs
    from compile.measure.choice import How, kind
    from compile.measure.choice import open_measurer as open_chosen
    from compile.tuner import Options
    from compile.tuner import tune as search

    network, device_target = _model(model), _target(target)
    how = How(device=device, simulate=simulate, threads=threads)
    measured_by = kind(device_target, how)  # before a log is made for what cannot be measured
    selected = select_tasks(network, device_target, tasks)
    with (
        Journal.open(
            log_path(logs, device_target.name, network.name),
            exclusive=True,
            target=device_target.tvm_target(),
        ) as journal,
        open_chosen(device_target, how) as measurer,
    ):
        options = Options(trials=trials, tuner=tuner, force=force)
        summary = search(
            selected,
            device_target,
            journal,
            measurer,
            options=options,
            observer=observer,
            lessons=of_other_logs(journal.path, device_target.tvm_target(), measurer.describe()),
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
    from compile import artifact, builder
    from compile.family import chosen
    from compile.journal import Journal

    network, device_target = _model(model), _target(target)
    folder = artifact_folder(out, device_target, network)
    artifact.check_replaceable(folder)
    log = log_path(logs, device_target.name, network.name)
    trials = Journal.open(log, exclusive=False, target=device_target.tvm_target()).trials
    choice = chosen(log)
    built = builder.build(network, device_target, trials, family=choice.family)
    spec = model if isinstance(model, str) else network.name
    return builder.save(
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
    from compile import layer_clock
    from compile import rerank as stage
    from compile.family import BLOCKED, chosen
    from compile.journal import Journal

    network, device_target = _model(model), _target(target)
    log = log_path(logs, device_target.name, network.name)
    if (family := chosen(log).family) != BLOCKED:
        raise UserError(f"builds of {network.name} use family {family}, which has no tuned configs")
    clock = layer_clock.open_clock(device_target, device=device, threads=threads)
    with Journal.open(log, exclusive=True, target=device_target.tvm_target()) as journal:
        options = stage.Options(keep=keep)
        return stage.rerank(network, device_target, journal, clock, options=options, say=say)


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
    from compile import family, timers
    from compile.journal import Journal
    from compile.measure.choice import How

    how = How(device=device, simulate=simulate, threads=threads)
    timer, measurer = timers.timer(model, target, how, seconds=seconds)
    log = log_path(logs, target.name, model.name)
    trials = Journal.open(log, exclusive=False, target=target.tvm_target()).trials
    return family.choose(model, target, trials, timer, log=log, measurer=measurer, say=say)


def load(folder: Path | str, *, threads: int | None = None, device: str | None = None) -> "Session":
    """Check an artifact's files by hash, load its native code, and give a Session to run it with.

    `session.run(array)` gives the outputs, `session.top(logits)` the likeliest labels. `threads` is all
    cores by default; with `device` it runs there. Only load artifacts from people you trust.
    """
    from compile import artifact

    checked = artifact.load(Path(folder))
    if device is not None:
        from compile.device.session import RemoteSession

        remote: Any = RemoteSession(checked, device, threads=threads)
        return remote  # type: ignore[no-any-return]
    from compile.runner import Session

    return Session(checked, threads=threads)


def log_path(logs: Path, target_name: str, model_name: str) -> Path:
    """Where the trials of a model on a target are kept."""
    return logs / target_name / f"{model_name}.jsonl"


def artifact_folder(out: Path, target: Target, model: "Model") -> Path:
    """Where the artifact of a model goes; another batch size than 1 is in its name."""
    batch = model.input_shape[0]
    return out / target.name / (model.name if batch == 1 else f"{model.name}_b{batch}")


def select_tasks(
    model: "Model", target: Target, kinds: Sequence[str] | None = None
) -> "tuple[TunableTask, ...]":
    """The tasks of `kinds` (None: what matters in this network); UserError when it has none of them."""
    from compile import importer, tasks

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
    from compile.measure.choice import How
    from compile.measure.choice import open_measurer as open_chosen

    how = How(device=device, threads=threads, allow_emulated=allow_emulated)
    return open_chosen(target, how)


def _model(model: "str | Model") -> "Model":
    from model import zoo

    return zoo.load(model) if isinstance(model, str) else model


def _target(target: str | Path | Target) -> Target:
    return target if isinstance(target, Target) else load_target(target)
