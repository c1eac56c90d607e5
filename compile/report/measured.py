# SPDX-License-Identifier: Apache-2.0
"""Runs an artifact for the report: its layers, its race against PyTorch and what was before, its parity.

Takes an `Artifact` that this machine can run; gives `Measured`, with a note for whatever could not be.
"""

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnc.compile.artifact.store import Artifact
from mnc.compile.machine.roofs import Roof, in_precision, measured_here
from mnc.compile.report import before
from mnc.compile.report.data import Parity, Row, Timing
from mnc.compile.runtime import benchmark, verify
from mnc.compile.runtime import session as runner
from mnc.compile.runtime.layer_profile import Profile, profile
from mnc.compile.runtime.local_session import open_local
from mnc.model import torch_run
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import load, topology

if TYPE_CHECKING:
    from mnc.compile.report.options import ReportOptions


@dataclass(frozen=True)
class Measured:
    """What came of it. `note` says why nothing did, `notes` what was left out."""

    note: str = ""
    notes: tuple[str, ...] = ()
    machine: tuple[tuple[str, str], ...] = ()
    roof: Roof | None = None
    rows: tuple[Row, ...] = ()
    rows_origin: str = ""
    timings: tuple[Timing, ...] = ()
    parity: tuple[Parity, ...] = ()


def nothing(note: str) -> Measured:
    """Nothing was measured, for this reason."""
    return Measured(note=note)


def measure(artifact: Artifact, options: "ReportOptions") -> Measured:
    """Profile, race and compare, on each of the thread counts; layers on the first of them."""
    name, notes = artifact.manifest.network.name, []
    try:
        sessions = [open_local(artifact, threads=count) for count in options.threads]
    except UserError as error:
        return nothing(f"cannot be run here: {error}")
    host = load("host")
    with working("measuring what this machine can do"):
        roof = measured_here(host, sessions[0].threads)
        own = in_precision(roof, host, artifact.manifest.dtype)
    with working(f"loading {name} into PyTorch"):
        module, why = verify.rebuild_module(artifact.manifest)
    if module is None:
        notes.append(f"PyTorch is not measured: {why}")
    reference = torch_run.torch_reference(module) if module is not None else None
    with working(f"comparing {name} with PyTorch"):
        compared = verify.verify(artifact, session=sessions[0], reference=reference)
    timings: list[Timing] = []
    for session in sessions:
        timed, left_out = _race(artifact, session, module, options)
        timings += timed
        notes += left_out
    with working(f"timing the layers of {name}"):
        hosted = runner.Session(artifact, threads=sessions[0].threads)
        layers = profile(hosted, peak_gflops=own.gflops)
    return Measured(
        notes=tuple(dict.fromkeys(notes)),
        machine=_machine(host.description, roof),
        roof=own,
        rows=rows_of(layers),
        rows_origin=f"measured within the network on this machine, {layers.threads} thread(s)",
        timings=tuple(timings),
        parity=tuple(_plain(check) for check in compared.checks),
    )


def rows_of(layers: Profile) -> tuple[Row, ...]:
    """The layers of a profile, no bounds set."""
    return tuple(
        Row(
            kind=layer.kind,
            shape=layer.shape,
            macs=layer.macs,
            traffic=layer.traffic,
            calls=1,
            seconds=layer.seconds,
            bound=None,
            is_transform=layer.is_transform,
        )
        for layer in layers.layers
    )


def _race(
    artifact: Artifact, session: Any, module: Any, options: "ReportOptions"
) -> tuple[list[Timing], list[str]]:
    """The contestants take turns in one run; UserErrors of those that cannot become notes."""
    inputs = runner.default_input(session)
    rivals: dict[str, Any] = {}
    notes = []
    if module is not None:
        rivals["PyTorch"] = torch_run.torch_call(module, inputs, session.threads)
        if options.before:
            try:
                with working("building what there was before tuning, once"):
                    rivals |= before.rivals(artifact.manifest, inputs, session.threads)
            except UserError as error:
                notes.append(str(error))
    if not options.before:
        notes.append("TVM as it comes is not measured: make the page with --before to have it")
    name = artifact.manifest.network.name
    with working(f"timing {name} on {session.threads} thread(s), {len(rivals) + 1} runtimes"):
        found = benchmark.bench(session, *inputs, seconds=options.seconds, rivals=rivals)
    ours = found["mnc"].median
    return [
        Timing(
            name=name,
            threads=session.threads,
            median=latency.median,
            p90=latency.p90,
            minimum=latency.minimum,
            runs=len(latency.times),
            ratio=latency.median / ours,
        )
        for name, latency in found.items()
    ], notes


def _machine(description: str, roof: Roof) -> tuple[tuple[str, str], ...]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    speeds = ", ".join(f"{level} {speed:.0f}" for level, speed in roof.bandwidths.items())
    return (
        ("measured on", description),
        ("cores", f"{topology.usable_cores()} usable"),
        ("memory", f"{memory / 2**30:.1f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("float32 peak", f"{roof.gflops:.1f} GFLOP/s on {roof.threads} thread(s)"),
        ("reading, GB/s", speeds),
    )


def _plain(check: verify.Check) -> Parity:
    return Parity(
        against=check.against,
        examples=check.examples,
        predictions=check.predictions,
        max_absolute=check.max_absolute,
        max_relative=check.max_relative,
        tolerance=check.tolerance,
        top1=check.top1,
        top5=check.top5,
        ok=check.ok,
    )
