# SPDX-License-Identifier: Apache-2.0
"""Verbs that time an artifact: bench as a whole, profile by layer."""

from pathlib import Path
from typing import Any

import click

from mnc.compile import api
from mnc.compile.api import BenchReport, Cores, Latency, ProfileReport
from mnc.compile.cli.artifacts import allow_failed_option, artifact_argument, device_option
from mnc.compile.cli.common import as_json_option, console, print_json, table


@click.command()
@artifact_argument
@device_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="For each runtime.",
)
@allow_failed_option
@as_json_option
def bench(
    folder: Path,
    device: str | None,
    cores: Cores,
    threads: int | None,
    seconds: float,
    allow_failed: bool,
    as_json: bool,
) -> None:
    """Time one inference, in turns with PyTorch's.

    Prints median, 90th percentile, minimum, spread (the middle half of the times over the median), and
    each runtime's median over ours.
    """
    report = api.bench(
        folder,
        threads=threads,
        device=device,
        cores=cores,
        seconds=seconds,
        allow_failed=allow_failed,
    )
    table(bench_rows(report), as_json=as_json)


def bench_rows(report: BenchReport) -> list[dict[str, Any]]:
    """Rows of times, one a runtime; says what to know of the circumstances."""
    if report.note:
        console.note(report.note)
    ours = next(iter(report.latencies.values()))
    if report.device:
        moved = {"upload s": report.upload, "load s": report.load}
        return [{"device": report.device, **_times(ours, ours.threads), **moved}]
    return [
        {
            "runtime": name,
            **_times(latency, ours.threads),
            "time / mnc": latency.median / ours.median,
        }
        for name, latency in report.latencies.items()
    ]


def _times(latency: Latency, threads: int | None) -> dict[str, Any]:
    return {
        "threads": threads,
        "median ms": latency.median * 1e3,
        "p90 ms": latency.p90 * 1e3,
        "min ms": latency.minimum * 1e3,
        "spread %": 100 * latency.spread,
        "runs": len(latency.times),
    }


@click.command()
@artifact_argument
@device_option
@click.option(
    "--runs", type=click.IntRange(min=1), default=30, show_default=True, help="Inferences."
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also draw the layers under the roofline, as an SVG file.",
)
@allow_failed_option
@as_json_option
def profile(
    folder: Path,
    device: str | None,
    cores: Cores,
    threads: int | None,
    runs: int,
    picture: Path | None,
    allow_failed: bool,
    as_json: bool,
) -> None:
    """Time each layer within the network.

    Prints microseconds, GFLOP/s and share of the machine's measured peak, and calls out layout transforms.
    """
    report = api.profile(
        folder, threads=threads, device=device, cores=cores, runs=runs, allow_failed=allow_failed
    )
    rows = _layer_rows(report)
    if picture is not None:
        api.draw_roofline(report, picture)
        console.note(str(picture))
    if as_json:
        print_json(
            {
                "threads": report.threads,
                "seconds": report.seconds,
                "predicted": report.predicted,
                "layers": rows,
            }
        )
        return
    table(rows, as_json=False)
    peak = report.roof.gflops if report.roof is not None else float("nan")
    console.result(
        f"{len(rows)} kernels, {report.seconds * 1e3:.2f} ms, {report.threads} threads, "
        f"layout transforms {100 * report.transform_share:.1f} %, peak {peak:.0f} GFLOP/s"
    )
    if report.predicted is not None:
        share = 100 * (report.predicted / report.seconds - 1)
        console.note(
            f"the log predicts {report.simulated or f'{report.predicted * 1e3:.2f} ms'} for its tasks "
            f"({share:+.1f} %)"
        )


def _layer_rows(report: ProfileReport) -> list[dict[str, Any]]:
    return [
        {
            "layer": index,
            "kind": layer.kind,
            "shape": layer.shape,
            "us": layer.seconds * 1e6,
            "share %": 100 * layer.seconds / report.seconds,
            "GFLOP/s": layer.gflops if layer.macs else None,
            "peak %": 100 * layer.peak_share if layer.macs and layer.peak_share else None,
            "note": "LAYOUT TRANSFORM" if layer.is_transform else "",
        }
        for index, layer in enumerate(report.layers)
    ]


VERBS = (bench, profile)
