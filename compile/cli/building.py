# SPDX-License-Identifier: Apache-2.0
"""The verb build: from a model and the log to an artifact, compared with PyTorch and timed."""

from pathlib import Path

import click

from mnc.compile import api
from mnc.compile.api import OUT, BuildResult, ModelSpec
from mnc.compile.cli.artifacts import VERIFY_FAILED, verify_rows
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
    help="Compare with PyTorch and time it, where this machine can run it.",
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
    logs: Path,
    as_json: bool,
) -> None:
    """Compile MODEL for a target into an artifact folder.

    Uses the best verified records of the target's log, says which tasks had none, and on a machine that can
    run the result compares it with PyTorch and times both.
    """
    made = api.build(model, target_name, out=out, logs=logs, cc=cc)
    _say_what_was_used(made)
    if not as_json:
        console.result(str(made.folder))
    parity, latency = [], []
    if check and _runs_here(made):
        parity = verify_rows(api.verify(made, model=made.model))
        latency = bench_rows(api.bench(made, model=made.model))
    if as_json:
        kernels = made.manifest.kernels
        print_json(
            {
                "artifact": str(made.folder),
                "seconds": made.seconds,
                "tuned": sum(kernel.tuned for kernel in kernels),
                "default": [f"{one.kind} {one.shape}" for one in kernels if not one.tuned],
                "parity": parity,
                "latency": latency,
            }
        )
    elif parity:
        table(parity, as_json=False)
        table(latency, as_json=False)
    if not all(row["ok"] for row in parity):
        context.exit(VERIFY_FAILED)


def _runs_here(made: BuildResult) -> bool:
    if api.runs_here(made):
        return True
    console.note("not compared or timed here: this machine is another CPU; on its device,")
    console.note(f"mnc verify {made.folder} --device rpc://HOST:PORT/KEY")
    return False


def _say_what_was_used(made: BuildResult) -> None:
    manifest, network = made.manifest, made.manifest.network
    tuned = [kernel for kernel in manifest.kernels if kernel.tuned]
    simulated = sum(kernel.simulated for kernel in tuned)
    by = f" ({simulated} by simulated costs, no device's)" if simulated else ""
    console.note(
        f"tuned kernels: {len(tuned)} of {len(manifest.kernels)} tasks{by}, log {made.log}"
    )
    for words in made.left_out:
        console.warn(words)
    if untuned := [f"{one.kind} {one.shape}" for one in manifest.kernels if not one.tuned]:
        console.note(f"default kernels: {', '.join(untuned)}")
    console.note(f"kernel family: {manifest.family}; {manifest.family_reason}")
    target, seconds = manifest.target.name, made.seconds
    console.note(f"{network.name} for {target} in {seconds:.1f} s, weights: {network.weights}")


VERBS = (build,)
