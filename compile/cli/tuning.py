# SPDX-License-Identifier: Apache-2.0
"""The verbs tune and family: search the best kernels of a model for a target.

Costs are measured here or on a device, or simulated where neither is at hand.
"""

import contextlib
from pathlib import Path

import click

from mnc.compile import api
from mnc.compile.api import TRIALS_PER_TASK, TUNERS, ModelSpec, TuningSummary
from mnc.compile.cli.common import (
    as_json_option,
    console,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
    threads_option,
)
from mnc.compile.cli.tuning_display import Display

SIMULATE = "Ask the core model, as is done anyway for a target that is not this machine."


@click.command()
@model_options
@target_option
@click.option(
    "--trials",
    type=click.IntRange(min=0),
    help="Budget of all tasks together, those in the log included."
    f" [default: {TRIALS_PER_TASK} a task, fewer where one no longer gets better]",
)
@click.option(
    "--tasks",
    "kinds",
    metavar="KINDS",
    help="Kinds of tasks, comma-separated: pointwise, depthwise, fused, first conv, dense, conv, or all."
    " [default: all]",
)
@click.option(
    "--tuner",
    type=click.Choice(TUNERS),
    default="xgb",
    show_default=True,
    help="How to search.",
)
@click.option("--force", is_flag=True, help="Measure again what the log already has.")
@click.option(
    "--rerank/--no-rerank",
    "reranking",
    default=True,
    show_default=True,
    help="Then try the best configs of each task in the real network (`mnc rerank`).",
)
@click.option("--device", metavar="rpc://HOST:PORT/KEY", help="Measure on this device.")
@click.option("--allow-emulated", is_flag=True, help="Accept times made under an emulator.")
@click.option("--simulate", is_flag=True, help=SIMULATE)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Simulate with so many processes here. [default: one for each core]",
)
@click.option(
    "--tracker",
    metavar="HOST:PORT",
    help="Simulate on the machines that have joined this tracker (`mnc simulate-worker`).",
)
@click.option(
    "--like",
    metavar="TARGET",
    help="Try first what the log of this target, of a similar core, has found best.",
)
@threads_option("1 where timed, every fast core where simulated")
@logs_option
@as_json_option
def tune(
    model: ModelSpec,
    target_name: str,
    trials: int | None,
    kinds: str | None,
    tuner: str,
    force: bool,
    reranking: bool,
    device: str | None,
    allow_emulated: bool,
    simulate: bool,
    workers: int | None,
    tracker: str | None,
    like: str | None,
    threads: int | None,
    logs: Path,
    as_json: bool,
) -> None:
    """Search MODEL's best kernels for a target; resumable.

    Every trial is in the log the moment it is known. Stop it at any time and start it again: it goes on
    where it was, and measures nothing twice. Costs are measured on this machine where the target is this
    machine, on a device with --device, and simulated by a model of the target's cores otherwise.
    """
    display = None if console.quiet else Display()
    with display or contextlib.nullcontext():
        summary = api.tune(
            model,
            target_name,
            trials=trials,
            tasks=[kind.strip() for kind in kinds.split(",")] if kinds else None,
            tuner=tuner,
            force=force,
            reranking=reranking,
            threads=threads,
            device=device,
            allow_emulated=allow_emulated,
            simulate=simulate,
            workers=workers,
            tracker=tracker,
            like=like,
            logs=logs,
            observer=display,
        )
    _report(summary, as_json=as_json)


@click.command()
@model_options
@target_option
@click.option("--device", metavar="rpc://HOST:PORT/KEY", help="Time on this device.")
@click.option("--simulate", is_flag=True, help=SIMULATE)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="For each family.",
)
@threads_option("all cores; every fast core where simulated")
@logs_option
@as_json_option
def family(
    model: ModelSpec,
    target_name: str,
    device: str | None,
    simulate: bool,
    seconds: float,
    threads: int | None,
    logs: Path,
    as_json: bool,
) -> None:
    """Time whole families of kernels; builds use the fastest.

    MODEL is built from our templates and from each of TVM's own families, every one timed as a whole network
    with its layout transforms. The choice and the times are kept beside the tuning log. Where the target is
    not this machine and no device is named, the core model gives the times.
    """
    choice = api.choose_family(
        model,
        target_name,
        device=device,
        simulate=simulate,
        threads=threads,
        seconds=seconds,
        logs=logs,
    )
    if as_json:
        print_json(choice)
    else:
        console.result(f"{choice.family}: {choice.why}")


def _report(summary: TuningSummary, *, as_json: bool) -> None:
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
    if summary.simulated is not None:
        console.note(f"an inference by these costs: {summary.simulated}; {summary.simulated.basis}")
    failures = ", ".join(f"{count} {kind}" for kind, count in summary.failures.items())
    console.note(
        f"{summary.trials} trials in {summary.seconds:.0f} s; failures: {failures or 'none'}"
    )


VERBS = (tune, family)
