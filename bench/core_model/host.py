# SPDX-License-Identifier: Apache-2.0
"""The model against this machine's own core: random configs, timed and simulated from the same library.

`python -m bench.core_model.host FOLDER` times configs of each workload (once: see host_timing),
prices the very libraries that were timed, and prints, a workload a line, how well the model ranks them and
what choosing by it would cost.
"""

import sys
from pathlib import Path

import click
import msgspec

from bench.core_model.host_pricing import run
from bench.core_model.host_report import outliers, report, rows
from bench.core_model.host_workloads import DEFAULT
from mnc.support.errors import UserError
from mnc.support.files import write_atomic


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", type=click.IntRange(3), default=32, help="configs of each workload")
@click.option("--workload", "workloads", multiple=True, help="such as 'pointwise 64->128 56'")
@click.option("--seed", type=int, default=1, help="of the choice of configs")
@click.option("--jobs", type=click.IntRange(1), help="simulating processes; one for each core")
@click.option("--worst", type=click.IntRange(0), default=0, help="list so many outliers")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write prices as JSON")
def main(
    folder: Path,
    count: int,
    workloads: tuple[str, ...],
    seed: int,
    jobs: int | None,
    worst: int,
    out: Path | None,
) -> None:
    """Compare the model with this machine's core; timings stay in FOLDER."""
    try:
        priced = run(folder, workloads or DEFAULT, count=count, seed=seed, jobs=jobs)
        for line in (*report(rows(priced)), *outliers(priced, worst)):
            click.echo(line)
        for one in priced:
            if one.seconds is None:
                click.echo(f"not priced: {one.timing.workload} #{one.timing.index}: {one.why}")
        if out is not None:
            write_atomic(out, msgspec.json.format(msgspec.json.encode(priced), indent=1) + b"\n")
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
