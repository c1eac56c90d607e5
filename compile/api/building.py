# SPDX-License-Identifier: Apache-2.0
"""From a model and its log to an artifact, with what there is to say of its making."""

import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mnc.compile.api import quick_tuning
from mnc.compile.api.named import LOGS, OUT, as_model, as_target, folder_name, read_log
from mnc.compile.artifact import store
from mnc.compile.artifact.manifest import FREESTANDING
from mnc.compile.artifact.paths import artifact_folder
from mnc.compile.artifact.store import Artifact, check_replaceable
from mnc.compile.records.trial import Trial
from mnc.compile.records.tuning_log import OTHER_DEVICE, TuningLog
from mnc.compile.toolchain.stored_weights import WeightStorage
from mnc.support.errors import UserError
from mnc.support.progress import working

if TYPE_CHECKING:
    from mnc.compile.api.named import AnyModel, AnyTarget
    from mnc.compile.codegen.network import Built
    from mnc.compile.runtime.build_check import BuildCheck
    from mnc.compile.runtime.verify import Check
    from mnc.compile.simulator.totals import Total
    from mnc.model.zoo import Model
    from mnc.targets import Target

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildResult(Artifact):
    """The artifact that was built. Its manifest says which kernels are tuned, which family they are of and
    why; `log` is where records came from, and `left_out` says, a line each, which of them are not used.

    `model` is what was compiled; `seconds` went into compiling, linking and golden outputs, and
    `check_seconds` into comparing with PyTorch. `checks` are what was compared, `not_checked` says why
    nothing was; what came of it is in the manifest's `comparison`.
    """

    model: "Model" = field(repr=False)
    log: Path
    left_out: tuple[str, ...]
    seconds: float
    checks: "tuple[Check, ...]" = ()
    check_seconds: float = 0.0
    not_checked: str = ""

    @property
    def simulated(self) -> "Total | None":
        """What an inference takes by the core model's costs of its kernels; None where it has others, or not
        all of them.
        """
        from mnc.compile.report.simulated import simulated_total

        return simulated_total(self.manifest)


def build(
    model: "AnyModel",
    target: "AnyTarget" = "host",
    *,
    out: Path = OUT,
    logs: Path = LOGS,
    cc: str | None = None,
    check: bool = True,
    quick_tune: float | None = None,
    weight_storage: WeightStorage = "float32",
) -> BuildResult:
    """Compile `model` for `target` with the best verified records of its log, and write the artifact.

    It goes to `out`/<target>/<model>/, whole or not at all; <target> is as it was asked for, so `host` gives
    `out`/host/ on every machine. `cc` is the C compiler to link with. Where the log knows little of the CPU,
    kernels that suit other CPUs are tried first, for `quick_tune` seconds (None: $MNC_QUICK_TUNE, else 45; 0:
    not), and are in the log then. `weight_storage` "fp16" keeps the weights of a network in float32 in half
    precision in the file, and computes as before. Unless `check` is false it is then
    compared with PyTorch: it itself where this machine runs it, else its program compiled for this machine.
    Where that fails, the manifest says so, and `load` and others refuse it.
    """
    _check_storage(model, weight_storage)
    cpu = as_target(target)  # first: a wrong name is said before PyTorch and TVM are loaded
    seconds = quick_tuning.default_seconds() if quick_tune is None else quick_tune
    from mnc.compile.artifact import writer
    from mnc.compile.codegen import network as codegen
    from mnc.compile.frontend import rounded_weights
    from mnc.compile.records.family_choice import BLOCKED, chosen

    network = as_model(model, cpu)
    folder = artifact_folder(out, folder_name(target, cpu), network)
    check_replaceable(folder)
    log = read_log(network, cpu, logs)
    choice = chosen(log.path)
    started = time.monotonic()
    prepared = codegen.prepare(network, cpu, family=choice.family)
    if weight_storage != "float32":
        prepared = replace(prepared, program=rounded_weights.rounded(prepared.program))
    imported = time.monotonic()
    if choice.family == BLOCKED and quick_tuning.quick_tune(
        prepared.tasks, cpu, log, logs, seconds
    ):
        log = read_log(network, cpu, logs)
    tuned = time.monotonic()
    with working(f"compiling {network.name} for {cpu.name}"):
        built = codegen.compile_prepared(prepared, _usable(log.trials, weight_storage))
    with working(f"linking {network.name} for {cpu.name}, making golden outputs"):
        made = writer.save(
            built,
            network,
            cpu,
            folder,
            log=log.path,
            cc=cc,
            choice=choice,
            weight_storage=weight_storage,
        )
        made = _with_freestanding(made, cpu, cc)
    finished = time.monotonic()
    compared = _compared(made, built, network) if check else None
    return BuildResult(
        folder=made.folder,
        manifest=compared.artifact.manifest if compared else made.manifest,
        labels=made.labels,
        model=network,
        log=log.path,
        left_out=tuple(_left_out(log)),
        seconds=finished - tuned + imported - started,
        checks=compared.checks if compared else (),
        check_seconds=time.monotonic() - finished,
        not_checked=compared.note if compared else "nobody asked for it",
    )


def _usable(trials: Sequence[Trial], weight_storage: WeightStorage) -> Sequence[Trial]:
    """Those of kernels for weights stored so: sums of rounded weights, rounded again, are no such sums."""
    from mnc.compile.templates import strassen

    if weight_storage == "float32":
        return trials
    return [trial for trial in trials if not trial.key.startswith(strassen.NAME)]


def _check_storage(model: "AnyModel", weight_storage: WeightStorage) -> None:
    """UserError where the network's own precision says how its weights are stored."""
    precision = "float32" if isinstance(model, str) else model.precision
    if weight_storage != "float32" and precision != "float32":
        raise UserError(
            f"--weight-storage {weight_storage} is for networks in float32, and --precision {precision}"
            " stores weights in its own numbers: leave one out"
        )


def _with_freestanding(made: Artifact, cpu: "Target", cc: str | None) -> Artifact:
    """The artifact with its freestanding library, by which it runs on the machine it is for. As it is where
    none can be linked, or what it gives here is not right, which the comparison of the build will show.
    """
    from mnc.compile.export import exporter
    from mnc.compile.runtime.library_check import verify_here

    with tempfile.TemporaryDirectory(prefix="mnc-link-") as scratch:
        path = Path(scratch) / FREESTANDING
        try:
            exporter.link(made, path, target=cpu, cc=cc)
            storage = made.manifest.weight_storage
            check, _ = verify_here(made, path, prefix="mnc", weight_storage=storage)
        except (UserError, RuntimeError) as error:
            logger.info("%s will run in TVM's runtime: %s", made.folder, error)
            return made
        is_right = check is None or check.ok
        return store.attach(made, FREESTANDING, path) if is_right else made


def _compared(made: Artifact, built: "Built", network: "Model") -> "BuildCheck":
    from mnc.compile.runtime.build_check import BuildCheck, check_build
    from mnc.model.extras import MissingPackageError

    try:
        reference = network.reference()
    except MissingPackageError as error:
        return BuildCheck(made, note=str(error))
    with working(f"comparing {made.manifest.network.name} with {reference.name}"):
        return check_build(made, built, reference)


def _left_out(log: TuningLog) -> Iterator[str]:
    """Lines of the log that are not used, and why."""
    for reason, count in log.skipped.items():
        if reason != OTHER_DEVICE:  # said below, with its name
            yield f"{log.path}: {count} lines are left out: {reason}"
    for cpu, count in log.other_models.items():
        yield f"{log.path}: {count} trials are of another CPU, {cpu}, and are not used"
