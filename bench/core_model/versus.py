# SPDX-License-Identifier: Apache-2.0
"""Our tuned network against the best configs that others published for a board, both by the core model.

`python -m bench.core_model.versus LOGS... --target rk3399` takes tuning logs of the board and
ours of the target; compiles both with this compiler for this target, simulates both now, and prints kernel
by kernel and in all.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from bench.core_model import kernels, records, selection
from bench.core_model.boards import MeasuredBoard, device_of
from bench.core_model.convolution import CONVOLUTIONS
from mnc.compile.api import LOGS
from mnc.compile.measure.messages import Priced, SimulateJob, spec_of
from mnc.compile.measure.simulate_worker import STATE, perform
from mnc.compile.records.paths import log_path
from mnc.compile.simulator.identity import identity
from mnc.compile.simulator.simulate import Kernel, simulate
from mnc.support.errors import UserError
from mnc.targets import Target, load

GOAL = 0.9


class KernelTime(msgspec.Struct, frozen=True):
    """A kernel of the network: what it is, how often it is called, seconds of a call."""

    kernel: str
    calls: int
    seconds: float
    note: str = ""


def theirs(logs: Sequence[Path], target: Target, *, threads: int) -> list[KernelTime]:
    """The published best config of each of MobileNet v1's convolutions, built for `target`.

    UserError when the logs lack one, or are of another board.
    """
    rows = []
    board = MeasuredBoard(target, target.tvm_target(), threads)
    cases = selection.cases_of(records.read_logs(logs), everything=False)
    ours = [model for model in cases if device_of(model).model == target.model]
    if not ours:
        raise UserError(f"the logs are of {', '.join(cases)}, none of {target.name}; name its logs")
    for case in (case for model in ours for case in cases[model] if case.calls):
        built = kernels.build(case.record, board)
        arguments = tuple((one.shape, "float32", one.is_output) for one in built.arguments)
        kernel = Kernel(Path(built.code).read_bytes(), arguments)
        found = simulate(kernel, target, threads=threads, state=STATE)
        rows.append(KernelTime(str(case.record.convolution), case.calls, found.seconds))
    if (calls := sum(row.calls for row in rows)) != CONVOLUTIONS:
        raise UserError(f"the logs hold {calls} of MobileNet v1's {CONVOLUTIONS} convolutions")
    return rows


def mine(target: Target, *, threads: int, logs: Path, model_name: str) -> list[KernelTime]:
    """Our network's convolutions as a build would have them, priced now; the classifier is left out."""
    from mnc.compile.codegen import network
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.model import zoo

    model = zoo.load(model_name)
    path = log_path(logs, target.name, model.name)
    trials = TuningLog.open(path, exclusive=False, target=target.tvm_target()).trials
    built = network.build(model, target, trials)
    rows = []
    for task in built.tasks:
        if task.kind == "dense":
            continue
        trial = built.used.get(task.key)
        if trial is None:
            raise UserError(
                f"{path} has no record of {task.kind} {task.shape}; tune with --tasks all"
            )
        job = SimulateJob(
            task=spec_of(task), config=trial.config.as_json(), device=target, threads=threads
        )
        priced = perform(job)
        if not isinstance(priced, Priced):
            raise UserError(f"{task.kind} {task.shape} cannot be priced: {priced}")
        rows.append(KernelTime(f"{task.kind} {task.shape}", task.calls, priced.cost))
    return rows


def total(rows: Sequence[KernelTime]) -> float:
    """Seconds of all calls."""
    return sum(row.calls * row.seconds for row in rows)


@click.command()
@click.argument("logs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--target", "name", required=True, help="whose kernels to compare")
@click.option("--threads", type=click.IntRange(1), help="one for each fast core by default")
@click.option("--ours", type=click.Path(path_type=Path), default=LOGS, help="our logs' folder")
@click.option(
    "--model", default="mobilenet_v1_1.0_224", help="MobileNet v1 1.0 224 with any padding"
)
def main(logs: tuple[Path, ...], name: str, threads: int | None, ours: Path, model: str) -> None:
    """Compare our tuned network with published LOGS of the same board, by the core model."""
    try:
        target = load(name)
        count = threads or target.fast.count
        tuned = mine(target, threads=count, logs=ours, model_name=model)
        published = theirs(logs, target, threads=count)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    for title, rows in (("published", published), ("ours", tuned)):
        click.echo(f"{title}:")
        for row in rows:
            click.echo(f"  {row.kernel:40} {row.calls:2} x {row.seconds * 1e6:9.1f} us")
    ratio = total(tuned) / total(published)
    click.echo(
        f"{name}, {count} threads, {identity(target)}: convolutions {total(tuned) * 1e3:.2f} ms, published "
        f"configs {total(published) * 1e3:.2f} ms, ratio {ratio:.3f} (goal at most {GOAL:g})"
    )


if __name__ == "__main__":
    main()
