# SPDX-License-Identifier: Apache-2.0
"""The verbs tune and family: search the best kernels of a model for a target, on real hardware."""

from pathlib import Path
from typing import Any

import click

from compile.api import check_measurable, choose_family, log_path, open_measurer, select_tasks
from compile.cli.common import (
    as_json_option,
    console,
    load_model,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
    threads_option,
)


@click.command()
@model_options
@target_option
@click.option(
    "--trials",
    type=click.IntRange(min=0),
    help="Budget of all tasks together, those in the log included. [default: 64 a task]",
)
@click.option(
    "--tasks",
    "kinds",
    metavar="KINDS",
    help="Kinds of tasks, comma-separated: pointwise, depthwise, first conv, dense, conv, or all."
    " [default: pointwise,depthwise for MobileNets, else all]",
)
@click.option(
    "--tuner",
    type=click.Choice(["xgb", "random", "grid", "ga"]),
    default="xgb",
    show_default=True,
    help="How to search.",
)
@click.option("--force", is_flag=True, help="Measure again what the log already has.")
@click.option("--device", metavar="rpc://HOST:PORT/KEY", help="Measure on this device.")
@click.option("--allow-emulated", is_flag=True, help="Accept times made under an emulator.")
@threads_option
@logs_option
@as_json_option
def tune(
    model_spec: str,
    model_flag: str | None,
    weights: Path | None,
    shape_text: str | None,
    batch: int,
    target_name: str,
    trials: int | None,
    kinds: str | None,
    tuner: str,
    force: bool,
    device: str | None,
    allow_emulated: bool,
    threads: int | None,
    logs: Path,
    as_json: bool,
) -> None:
    """Search MODEL's best kernels for a target; resumable.

    Every trial is in the log the moment it is known. Stop it at any time and start it again: it goes on
    where it was, and measures nothing twice.
    """
    from compile.family import chosen
    from compile.journal import Journal
    from compile.progress import Display
    from compile.tuner import Options
    from compile.tuner import tune as search
    from targets import load

    _, model = load_model(model_spec, model_flag, weights, shape_text, batch)
    target = load(target_name)
    check_measurable(target, device=device)
    wanted = [kind.strip() for kind in kinds.split(",")] if kinds else None
    with console.working(f"importing {model.name}"):
        selected = select_tasks(model, target, wanted)
    path = log_path(logs, target.name, model.name)
    options = Options(trials=trials, tuner=tuner, force=force)
    # Before the measurer's processes start: they would take the cores whose peak is timed.
    peak = _peak(target, threads or 1) if device is None else None
    with (
        Journal.open(path, exclusive=True, target=target.tvm_target()) as journal,
        open_measurer(
            target, device=device, threads=threads or 1, allow_emulated=allow_emulated
        ) as measurer,
    ):
        for reason, count in journal.skipped.items():
            console.warn(f"{path}: {count} lines are left out: {reason}")
        console.note(f"{len(selected)} tasks, log {path}, measured by {measurer.describe()}")
        if console.quiet:
            summary = search(selected, target, journal, measurer, options=options)
        else:
            with Display(peak_gflops=peak) as display:
                summary = search(
                    selected, target, journal, measurer, options=options, observer=display
                )
    if device is not None:
        choose_family(model, target, device=device, threads=threads, logs=logs, say=console.note)
        followed = chosen(path)  # not an emulator's
        console.note(f"builds use family {followed.family}; {followed.why}")
    _report(summary, as_json=as_json)


@click.command()
@model_options
@target_option
@click.option("--device", metavar="rpc://HOST:PORT/KEY", help="Time on this device.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="For each family.",
)
@threads_option
@logs_option
@as_json_option
def family(
    model_spec: str,
    model_flag: str | None,
    weights: Path | None,
    shape_text: str | None,
    batch: int,
    target_name: str,
    device: str | None,
    seconds: float,
    threads: int | None,
    logs: Path,
    as_json: bool,
) -> None:
    """Time whole families of kernels; builds use the fastest.

    MODEL is built from our templates and from each of TVM's own families, every one timed as a whole network
    with its layout transforms. The choice and the times are kept beside the tuning log.
    """
    from targets import load

    _, model = load_model(model_spec, model_flag, weights, shape_text, batch)
    choice = choose_family(
        model,
        load(target_name),
        device=device,
        threads=threads,
        logs=logs,
        seconds=seconds,
        say=console.note,
    )
    if as_json:
        print_json(choice)
    else:
        console.result(f"{choice.family}: {choice.why}")


def _peak(target: Any, threads: int) -> float:
    from compile.machine import peak

    return peak(target, threads)


def _report(summary: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    rows = [
        {
            "kind": task.kind,
            "shape": task.shape,
            "trials": task.trials,
            "new": task.new,
            "best us": task.cost * 1e6 if task.cost else None,
            "best GFLOP/s": task.gflops,
        }
        for task in summary.tasks
    ]
    table(rows, as_json=False)
    failures = ", ".join(f"{count} {kind}" for kind, count in summary.failures.items())
    console.note(
        f"{summary.trials} trials in {summary.seconds:.0f} s; failures: {failures or 'none'}"
    )


VERBS = (tune, family)
