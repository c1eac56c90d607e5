# SPDX-License-Identifier: Apache-2.0
"""Verbs that time an artifact: bench as a whole, profile by layer."""

from pathlib import Path
from typing import Any

import click

from mnc.compile import api
from mnc.compile.api import BenchReport, Cores
from mnc.compile.cli.artifacts import artifact_argument, device_option
from mnc.compile.cli.common import as_json_option, console, print_json, table, threads_option
from mnc.support.errors import UserError


@click.command()
@artifact_argument
@device_option
@threads_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="For each runtime.",
)
@as_json_option
def bench(
    folder: Path,
    device: str | None,
    cores: Cores,
    threads: int | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Time one inference, in turns with PyTorch's.

    Prints median, 90th percentile, minimum, spread (the middle half of the times over the median), and
    each runtime's median over ours.
    """
    session = api.load(folder, threads=threads, device=device, cores=cores)
    if device is None:
        table(bench_rows(api.bench(session, seconds=seconds)), as_json=as_json)
    else:
        _bench_device(session, seconds=seconds, as_json=as_json)


def _bench_device(session: Any, *, seconds: float, as_json: bool) -> None:
    """Times by the device's own clock; what moves over the network is apart."""
    from mnc.compile.runtime.remote_session import bench as time_on_device
    from mnc.compile.runtime.session import default_input

    made = time_on_device(session, *default_input(session), seconds=seconds)
    row = {
        "device": str(session.device),
        "threads": made.latency.threads,
        "median ms": made.latency.median * 1e3,
        "p90 ms": made.latency.p90 * 1e3,
        "min ms": made.latency.minimum * 1e3,
        "spread %": 100 * made.latency.spread,
        "runs": len(made.latency.times),
        "upload s": made.upload,
        "load s": made.load,
    }
    table([row], as_json=as_json)
    console.note(made.note)


def bench_rows(report: BenchReport) -> list[dict[str, Any]]:
    """Rows of times, one a runtime; says why PyTorch is not among them."""
    if report.note:
        console.note(f"PyTorch is not timed: {report.note}")
    ours = report.latencies["mnc"]
    return [
        {
            "runtime": name,
            "threads": ours.threads,
            "median ms": latency.median * 1e3,
            "p90 ms": latency.p90 * 1e3,
            "min ms": latency.minimum * 1e3,
            "spread %": 100 * latency.spread,
            "runs": len(latency.times),
            "time / mnc": latency.median / ours.median,
        }
        for name, latency in report.latencies.items()
    ]


@click.command()
@artifact_argument
@device_option
@threads_option
@click.option(
    "--runs", type=click.IntRange(min=1), default=30, show_default=True, help="Inferences."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the layers under the roofline, as an SVG file.",
)
@as_json_option
def profile(
    folder: Path,
    device: str | None,
    cores: Cores,
    threads: int | None,
    runs: int,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Time each layer within the network.

    Prints microseconds, GFLOP/s and share of the machine's measured peak, and calls out layout transforms.
    """
    session = api.load(folder, threads=threads, device=device, cores=cores)
    artifact = session.artifact
    peak = _peak(artifact, session, on_device=device is not None)
    with console.working(f"timing the layers of {artifact.manifest.network.name}"):
        made = _profiled(session, runs, peak, on_device=device is not None)
    rows = [
        {
            "layer": index,
            "kind": layer.kind,
            "shape": layer.shape,
            "us": layer.seconds * 1e6,
            "share %": 100 * layer.seconds / made.seconds,
            "GFLOP/s": layer.gflops if layer.macs else None,
            "peak %": 100 * layer.peak_share if layer.macs and layer.peak_share else None,
            "note": "LAYOUT TRANSFORM" if layer.is_transform else "",
        }
        for index, layer in enumerate(made.layers)
    ]
    if picture is not None:
        _draw(made, artifact, picture, on_device=device is not None)
    predicted = _predicted(artifact, made.threads)
    if as_json:
        print_json(
            {
                "threads": made.threads,
                "seconds": made.seconds,
                "predicted": predicted,
                "layers": rows,
            }
        )
        return
    table(rows, as_json=False)
    console.result(
        f"{len(rows)} kernels, {made.seconds * 1e3:.2f} ms, {made.threads} threads, "
        f"layout transforms {100 * made.transform_share:.1f} %, "
        f"peak {peak or float('nan'):.0f} GFLOP/s"
    )
    if predicted is not None:
        share = 100 * (predicted / made.seconds - 1)
        console.note(f"the log predicts {predicted * 1e3:.2f} ms for its tasks ({share:+.1f} %)")


def _predicted(artifact: Any, threads: int) -> float | None:
    """Seconds that the log's costs of the kernels add up to, all calls; None where one is not tuned, or was
    on another number of threads.
    """
    seconds = 0.0
    for kernel in artifact.manifest.kernels:
        if kernel.cost is None or f"threads={threads}" not in str(kernel.measurer).split():
            return None
        seconds += kernel.cost * kernel.calls
    return seconds or None


def _draw(made: Any, artifact: Any, path: Path, *, on_device: bool) -> None:
    from mnc.compile.report import plots
    from mnc.compile.report.measured import rows_of
    from mnc.compile.report.roofs import measured_here, of_target
    from mnc.support.files import write_atomic
    from mnc.targets import load

    target = load(artifact.manifest.target.name if on_device else "host")
    roof = (
        of_target(target, threads=made.threads)
        if on_device
        else measured_here(target, made.threads)
    )
    svg = plots.roofline(rows_of(made), roof, title=artifact.manifest.network.name)
    if not svg:
        raise UserError(f"what {target.name} can do is not known, so there is no roofline to draw")
    write_atomic(path, plots.standalone(svg).encode())
    console.note(str(path))


def _peak(artifact: Any, session: Any, *, on_device: bool) -> float | None:
    """GFLOP/s that the session's threads could do: measured here, from the target's figures on a device."""
    from mnc.targets import load

    if on_device:
        cores: float | None = load(artifact.manifest.target.name).fast.peak_gflops(session.threads)
        return cores
    from mnc.compile.machine import peaks

    with console.working("measuring this machine's peak"):
        return peaks.peak(load("host"), session.threads)


def _profiled(session: Any, runs: int, peak: float | None, *, on_device: bool) -> Any:
    if on_device:
        from mnc.compile.runtime.remote_session import profile as remote
        from mnc.compile.runtime.session import default_input

        return remote(session, *default_input(session), runs=runs, peak_gflops=peak)
    from mnc.compile.runtime.layer_profile import profile as local

    return local(session, runs=runs, peak_gflops=peak)


VERBS = (bench, profile)
