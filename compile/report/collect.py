# SPDX-License-Identifier: Apache-2.0
"""Gathers what is known of artifacts: from their manifests and logs, and for this machine's by measuring.

Takes checked `Artifact`s; gives a `Report`. A manifest's paths are never followed: logs are read from the
folder that the caller names.
"""

import datetime
import math
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from mnc.compile.artifact import provenance
from mnc.compile.artifact.manifest import KernelEntry, Manifest
from mnc.compile.artifact.store import Artifact
from mnc.compile.artifact.writer import HALF_PRECISION
from mnc.compile.machine.roofs import Roof, in_precision, of_target
from mnc.compile.records.paths import log_path
from mnc.compile.records.trial import SIMULATED
from mnc.compile.records.tuning_log import TuningLog
from mnc.compile.report import measured
from mnc.compile.report.data import Curve, Report, Row, Subject
from mnc.compile.report.options import ReportOptions
from mnc.compile.report.simulated import simulated_total
from mnc.compile.runtime.session import check_cpu
from mnc.model.half_precision import report as half_precision
from mnc.support.errors import UserError
from mnc.targets import Target, catalog


def report(artifacts: Sequence[Artifact], options: ReportOptions) -> Report:
    """Everything about `artifacts`, in their order."""
    used = provenance.versions()
    return Report(
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        versions=f"mnc {used.mnc}, TVM {used.tvm}, LLVM {used.llvm}, PyTorch {used.torch or '-'}",
        subjects=tuple(subject(artifact, options) for artifact in artifacts),
    )


def subject(artifact: Artifact, options: ReportOptions) -> Subject:
    """Everything about one artifact."""
    manifest = artifact.manifest
    tuning_log = TuningLog.open(
        log_path(options.logs, manifest.target.name, manifest.network.name),
        exclusive=False,
        target=manifest.target.tvm_target,
    )
    curves, notes = curves_of(tuning_log, manifest.kernels)
    found = measured.nothing(_why_not_here(manifest, options))
    if not found.note:
        found = measured.measure(artifact, options)
    if found.note:
        notes.append(found.note)
    roof = found.roof or _stated(manifest)
    rows = found.rows or tuple(_row_of_kernel(kernel) for kernel in manifest.kernels)
    if roof is not None:
        rows = tuple(_bounded(row, roof.bound(row.macs, row.traffic)) for row in rows)
    untuned = [kernel for kernel in manifest.kernels if not kernel.tuned]
    return Subject(
        title=f"{manifest.network.name} on {manifest.target.name}",
        model=manifest.network.name,
        target=manifest.target.name,
        folder=str(artifact.folder),
        is_measured=bool(found.rows),
        facts=_facts(manifest, tuning_log),
        machine=_machine(manifest, found.machine),
        roof=roof,
        rows=rows,
        rows_origin=found.rows_origin or _origin(manifest),
        curves=curves,
        timings=found.timings,
        parity=found.parity,
        failed_when_built=manifest.comparison is not None and not manifest.comparison.passed,
        simulated=None if found.rows else simulated_total(manifest),
        half=_half(artifact),
        untuned=tuple(f"{kernel.kind} {kernel.shape}" for kernel in untuned),
        kernels=len(manifest.kernels),
        reproduce=_reproduce(manifest),
        notes=tuple(notes) + found.notes,
        skipped=dict(tuning_log.skipped),
    )


def _half(artifact: Artifact) -> half_precision.Report | None:
    """What half precision does to the network, where the build looked. UserError for a damaged file."""
    if HALF_PRECISION not in artifact.manifest.files:
        return None
    path = artifact.folder / HALF_PRECISION
    try:
        return msgspec.json.decode(path.read_bytes(), type=half_precision.Report)
    except (OSError, msgspec.DecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; build the artifact again") from None


def curves_of(
    tuning_log: TuningLog, kernels: Sequence[KernelEntry]
) -> tuple[tuple[Curve, ...], list[str]]:
    """How each task of the network was tuned, of one measurer, and what was left out.

    Costs of different measurers or thread counts do not belong on one curve: the one with most trials
    is drawn.
    """
    known = {kernel.key: kernel for kernel in kernels}
    ours = [
        trial
        for trial in tuning_log.trials
        if trial.key in known and trial.error != "device" and not trial.in_network
    ]
    by_measurer = Counter((trial.measurer, trial.threads) for trial in ours)
    notes = []
    if len(by_measurer) > 1:
        notes.append(
            f"the log has trials of {len(by_measurer)} measurers; the curves show the most used"
        )
    chosen = by_measurer.most_common(1)[0][0] if by_measurer else None
    trials = defaultdict(list)
    for trial in ours:
        if (trial.measurer, trial.threads) == chosen:
            trials[trial.key].append(trial)
    curves = []
    for key, group in trials.items():
        kernel = known[key]
        rates = [
            2e-9 * kernel.macs / trial.cost if math.isfinite(trial.cost) else None
            for trial in group
        ]
        failures = Counter(trial.error for trial in group if trial.error is not None)
        curves.append(
            Curve(
                key=key,
                kind=kernel.kind,
                shape=kernel.shape,
                trials=tuple(enumerate(rates, start=1)),
                failures=dict(failures.most_common()),
            )
        )
    return tuple(curves), notes


def traffic_of(kernel: KernelEntry) -> int:
    """Bytes of a task's input, weights and output, read off its key; 0 for a key of another make."""
    from mnc.compile.templates import workload

    try:
        return workload.traffic(workload.parse(kernel.key))
    except ValueError:
        return 0


def _row_of_kernel(kernel: KernelEntry) -> Row:
    return Row(
        kind=kernel.kind,
        shape=kernel.shape,
        macs=kernel.macs,
        traffic=traffic_of(kernel),
        calls=kernel.calls,
        seconds=kernel.cost,
        bound=None,
        tuned=kernel.tuned,
    )


def _threads(manifest: Manifest) -> int:
    """Threads that the log's costs were had with; 1 where they do not say."""
    texts = [kernel.measurer for kernel in manifest.kernels if kernel.measurer]
    named = [re.search(r"\bthreads=(\d{1,4})\b", text) for text in texts]
    return max((int(match[1]) for match in named if match), default=1)


def _origin(manifest: Manifest) -> str:
    """Where the costs of an artifact come from that was not run for this page."""
    origin = "costs of each kernel alone, as the tuning log has them"
    measurers = {kernel.measurer for kernel in manifest.kernels if kernel.measurer}
    models = sorted(one for one in measurers if one.startswith(SIMULATED))
    if not models:
        return origin
    every = "all" if len(models) == len(measurers) else "some"
    return f"{origin}; {every} simulated by a model of the core ({', '.join(models)}), not measured"


def _bounded(row: Row, bound: float) -> Row:
    return replace(row, bound=bound if row.macs or row.traffic else None)


def _why_not_here(manifest: Manifest, options: ReportOptions) -> str:
    """Why an artifact is not measured now; "" when it is."""
    if not options.threads:
        return "nothing was run for this page: layers, latency and parity are not measured"
    try:
        check_cpu(manifest.target)
    except UserError as error:
        return f"not measured here, only manifest and log were read: {error}"
    return ""


def _stated(manifest: Manifest) -> Roof | None:
    """What the target's file says that it can do in the network's precision."""
    target = _target_of(manifest)
    stated = of_target(target, threads=_threads(manifest))
    if target is None or stated is None:
        return None
    return in_precision(stated, target, manifest.dtype)


def _target_of(manifest: Manifest) -> Target | None:
    """The target's file, when it still describes the device that the artifact is for."""
    try:
        target = catalog.load(manifest.target.name)
    except UserError:
        return None
    return target if target.tvm_target() == manifest.target.tvm_target else None


def _facts(manifest: Manifest, tuning_log: TuningLog) -> tuple[tuple[str, str], ...]:
    source = manifest.source
    commit = source.commit or "no git checkout"
    tuned = sum(kernel.tuned for kernel in manifest.kernels)
    workspace = manifest.workspace_bytes
    size = sum(info.size for name, info in manifest.files.items() if name == "library.so")
    return (
        ("weights", manifest.network.weights),
        ("weights' SHA-256", manifest.network.weights_hash),
        ("input", " and ".join(_tensor(one.shape, one.dtype) for one in manifest.inputs)),
        ("output", " and ".join(_tensor(one.shape, one.dtype) for one in manifest.outputs)),
        ("compared with PyTorch", str(manifest.comparison or "no, when it was built")),
        (
            "tuned tasks",
            f"{tuned} of {len(manifest.kernels)}, {len(tuning_log.trials)} trials in the log",
        ),
        ("peak workspace", "not known" if workspace is None else _size(workspace)),
        ("library", _size(size)),
        (
            "built",
            f"{manifest.created}, commit {commit[:12]}{' with changes' if source.dirty else ''}",
        ),
        (
            "with",
            f"mnc {manifest.versions.mnc}, TVM {manifest.versions.tvm}, LLVM {manifest.versions.llvm}",
        ),
    )


def _machine(manifest: Manifest, found: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    target = manifest.target
    return (("device", target.description), ("TVM target", target.tvm_target), *found)


def _size(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"


def _tensor(shape: Sequence[int], dtype: str) -> str:
    return f"{dtype} {'x'.join(map(str, shape))}"


def _reproduce(manifest: Manifest) -> tuple[str, ...]:
    """Commands, each with its words quoted: a manifest may come from somebody else."""
    network, target = manifest.network, manifest.target
    checkout = [f"git checkout {manifest.source.commit}"] if manifest.source.commit else []
    spec, name = shlex.quote(network.spec), shlex.quote(target.name)
    precision = "" if manifest.dtype == "float32" else f" --precision {manifest.dtype}"
    folder = shlex.quote(f"build/{target.name}/{network.name}")
    return (
        *checkout,
        "make setup",
        f".venv/bin/mnc tune {spec} --target {name}{precision}",
        f".venv/bin/mnc build {spec} --target {name}{precision}",
        f".venv/bin/mnc report {folder} --out report.html",
    )
