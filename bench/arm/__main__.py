# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.arm`, what `make race-arm` runs: our network and other runtimes' real code on one
modelled core.

Takes a target; prints a table; with --out writes it into a folder, whose page then shows all targets there.
"""

import sys
from pathlib import Path
from typing import get_args

import click
import msgspec

from bench.arm import page, runtimes
from bench.arm.files import exported_folder, model_folder
from bench.arm.results import NOTE, Race, Result, row
from bench.arm.runtimes import OURS, RACERS, Runtime
from mnc.compile.cli.common import table
from mnc.compile.report.explain import core_name
from mnc.compile.simulator.identity import identity
from mnc.compile.simulator.totals import total_of
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.support.files import write_atomic
from mnc.targets import Target, load

MODEL = "mobilenet_v1_1.0_224"


@click.command()
@click.option("--target", "name", default="rpi4", show_default=True)
@click.option("--models", default=MODEL, show_default=True, help="Names, separated by commas.")
@click.option("--threads", default="1", show_default=True, help="Such as 1,4.")
@click.option(
    "--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True
)
@click.option(
    "--runtimes", "keys", help="Keys of bench/arm/runtimes.py; else all of the precision."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder: TARGET.json, and README.md with a picture of all targets' files.",
)
def main(
    name: str,
    models: str,
    threads: str,
    precision: Precision,
    keys: str | None,
    out: Path | None,
) -> None:
    """Race AArch64 runtimes on a target's cores, by the core model."""
    try:
        target = load(name)
        chosen = [runtimes.find(key) for key in (keys or RACERS[precision]).split(",")]
        click.echo(NOTE)
        results: list[Result] = []
        for model in models.split(","):
            for count in [int(one) for one in threads.split(",")]:
                for runtime in chosen:
                    results.append(_result(model, runtime, target, count))
                    click.echo(f"{model}, {count} thread(s): {_said(results[-1])}", err=True)
                    if out is not None:  # an interrupted race keeps these
                        _write(out, target, results)
    except (UserError, ValueError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    table([row(one, tuple(results)) for one in results], as_json=False)
    for basis in sorted({one.total.basis for one in results if one.total is not None}):
        click.echo(basis)


def _result(model: str, runtime: Runtime, target: Target, threads: int) -> Result:
    try:
        ours = runtime.recipe == OURS
        how = runtime.precision
        folder = exported_folder(model, target, how) if ours else model_folder(model, runtime)
        found = runtimes.price(runtime, folder, target, threads=threads)
    except UserError as error:
        return Result(model, runtime.key, threads, why=str(error))
    return Result(
        model=model,
        runtime=runtime.key,
        threads=threads,
        milliseconds=found.milliseconds,
        total=total_of(found.milliseconds / 1e3, core=target.fast.cpu, threads=threads),
        instructions=found.trace.simulation.instructions,
        unknown_share=found.trace.unknown_share,
        error=found.error,
    )


def _said(one: Result) -> str:
    return f"{one.runtime} {one.why or one.total}"


def _write(folder: Path, target: Target, results: list[Result]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    core = f"{target.fast.count}x {core_name(target)}"
    race = Race(NOTE, target.name, core, identity(target), tuple(results))
    data = msgspec.json.format(msgspec.json.encode(race), indent=1) + b"\n"
    write_atomic(folder / f"{target.name}.json", data)
    page.write(folder)


if __name__ == "__main__":
    main()
