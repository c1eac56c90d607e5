# SPDX-License-Identifier: Apache-2.0
"""The verb build: from a model and the log to an artifact, compared with PyTorch and timed."""

from pathlib import Path

import click

from mnc.compile import api
from mnc.compile.api import OUT, STORAGES, BuildResult, ModelSpec, WeightStorage
from mnc.compile.cli.artifacts import VERIFY_FAILED, check_rows
from mnc.compile.cli.common import (
    as_json_option,
    console,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
)
from mnc.compile.cli.timing import bench_rows


@click.command()
@model_options
@target_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=OUT,
    show_default=True,
    help="Folder for artifacts; this one goes to OUT/<target>/<model>/.",
)
@click.option("--cc", help="C compiler to link with, instead of the target's default.")
@click.option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Compare with PyTorch, and time it where this machine can run it.",
)
@click.option(
    "--quick-tune",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="Where no log knows the CPU, try first for so long what suits other CPUs; 0: not."
    " [default: $MNC_QUICK_TUNE, else 45]",
)
@click.option(
    "--weight-storage",
    type=click.Choice(STORAGES),
    default="float32",
    show_default=True,
    help="How the file has weights of float32; fp16 is half of it, widened once when it is loaded.",
)
@logs_option
@as_json_option
@click.pass_context
def build(
    context: click.Context,
    model: ModelSpec,
    target_name: str,
    out: Path,
    cc: str | None,
    check: bool,
    quick_tune: float | None,
    weight_storage: WeightStorage,
    logs: Path,
    as_json: bool,
) -> None:
    """Compile MODEL for a target into an artifact folder.

    Uses the best verified records of the target's log, says which tasks had none, and compares with PyTorch:
    the artifact, where this machine can run it, and then times both; else its program, compiled for this
    machine. Exits with 1 when the outputs differ: then the manifest says so, and other verbs refuse it.
    """
    made = api.build(
        model,
        target_name,
        out=out,
        logs=logs,
        cc=cc,
        check=check,
        quick_tune=quick_tune,
        weight_storage=weight_storage,
    )
    _say_what_was_used(made)
    if not as_json:
        console.result(str(made.folder))
    comparison = made.manifest.comparison
    _say_how_it_compared(made)
    parity, latency = check_rows(made.checks), []
    if comparison is not None and comparison.passed and comparison.on == "device":
        latency = bench_rows(api.bench(made, model=made.model))
    if as_json:
        kernels = made.manifest.kernels
        print_json(
            {
                "artifact": str(made.folder),
                "seconds": made.seconds,
                "simulated": made.simulated,
                "tuned": sum(kernel.tuned for kernel in kernels),
                "default": [f"{one.kind} {one.shape}" for one in kernels if not one.tuned],
                "compared on": comparison.on if comparison else None,
                "parity": parity,
                "latency": latency,
            }
        )
    elif parity:
        table(parity, as_json=False)
        if latency:
            table(latency, as_json=False)
    if comparison is not None and not comparison.passed:
        context.exit(VERIFY_FAILED)


def _say_how_it_compared(made: BuildResult) -> None:
    comparison = made.manifest.comparison
    if comparison is None:
        console.warn(f"not compared with {made.model.runtime}: {made.not_checked}")
    elif comparison.on == "device":
        console.note("compared on: its device, which is this machine")
    else:
        took = f"{made.check_seconds:.1f} s"
        console.note(
            f"compared on: this machine's CPU, the same program compiled for it, in {took}"
        )
    if not api.runs_here(made):
        console.note(f"on its device: mnc verify {made.folder} --device rpc://HOST:PORT/KEY")
    if comparison is not None and not comparison.passed:
        console.warn(
            f"its outputs are not PyTorch's: the comparison {comparison}; run, bench, profile, export and "
            "load refuse it without --allow-failed"
        )


def _say_what_was_used(made: BuildResult) -> None:
    manifest, network = made.manifest, made.manifest.network
    tuned = [kernel for kernel in manifest.kernels if kernel.tuned]
    simulated = sum(kernel.simulated for kernel in tuned)
    by = f" ({simulated} by simulated costs, no device's)" if simulated else ""
    console.note(
        f"tuned kernels: {len(tuned)} of {len(manifest.kernels)} tasks{by}, log {made.log}"
    )
    if made.simulated is not None:
        console.note(f"an inference by these costs: {made.simulated}; {made.simulated.basis}")
    for words in made.left_out:
        console.warn(words)
    if untuned := [f"{one.kind} {one.shape}" for one in manifest.kernels if not one.tuned]:
        console.note(f"default kernels: {', '.join(untuned)}")
    console.note(f"kernel family: {manifest.family}; {manifest.family_reason}")
    if (report := made.model.quantization) is not None:
        costly = ", ".join(f"{one.name} ({one.cost:.1%})" for one in report.costliest(3))
        console.note(
            f"int8: {report.snr:.1f} dB, what costs most: {costly}; mnc quantize shows all"
        )
        for remark in report.remarks:
            console.warn(remark)
    _say_what_half_precision_does(made)
    target, seconds = manifest.target.name, made.seconds
    console.note(f"{network.name} for {target} in {seconds:.1f} s, weights: {network.weights}")


def _say_what_half_precision_does(made: BuildResult) -> None:
    report = made.model.half
    if report is None:
        return
    if (most := report.largest) is not None:
        console.note(f"fp16: largest magnitude {most.largest:.3g}, in {most.name}")
    if (least := report.least_exact) is not None and least.sums is not None:
        off = f"{least.sums.by_blocks:.2%}, of {least.products} products"
        console.note(f"fp16: sums off the most {off}, in {least.name}")
    for name, reason in report.kept_float.items():
        console.note(f"fp16: {name} stays in float32: {reason}")
    for remark in report.remarks:
        console.warn(remark)


VERBS = (build,)
