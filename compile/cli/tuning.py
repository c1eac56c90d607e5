# SPDX-License-Identifier: Apache-2.0
"""The verbs tune and family: search the best kernels of a model for a target.

Costs are measured here or on a device, or simulated where neither is at hand.
"""

import contextlib
from pathlib import Path
from typing import Any

import click

from mnc.compile.api import ModelSpec, as_model, choose_family, select_tasks
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
from mnc.compile.cli.reranking import after_tuning
from mnc.compile.records.paths import log_path

SIMULATE = "Ask the core model, as is done anyway for a target that is not this machine."


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
    help="Kinds of tasks, comma-separated: pointwise, depthwise, fused, first conv, dense, conv, or all."
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
@click.option("--workers", type=click.IntRange(min=1), help="Simulate with so many processes here.")
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
@threads_option
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
    from mnc.compile.cli.tuning_display import Display
    from mnc.compile.device.opening import open_device
    from mnc.compile.device.options import DeviceOptions
    from mnc.compile.records.family_choice import chosen
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.compile.tuning.transfer import of_other_logs
    from mnc.compile.tuning.tuner import TuningOptions
    from mnc.compile.tuning.tuner import tune as search
    from mnc.targets import load

    network = as_model(model)
    target = load(target_name)
    options = DeviceOptions(
        address=device,
        simulate=simulate,
        workers=workers,
        tracker=tracker,
        threads=threads,
        allow_emulated=allow_emulated,
    )
    place = open_device(target, options)
    if place.note is not None:
        console.note(place.note)
    wanted = [kind.strip() for kind in kinds.split(",")] if kinds else None
    with console.working(f"importing {network.name}"):
        selected = select_tasks(network, target, wanted)
    path = log_path(logs, target.name, network.name)
    # Before the measurer's processes start: they would take the cores whose peak is timed.
    peak = place.peak_gflops(place.kernel_threads)
    with (
        TuningLog.open(path, exclusive=True, target=target.tvm_target()) as tuning_log,
        place.measurer() as measurer,
    ):
        for reason, count in tuning_log.skipped.items():
            console.warn(f"{path}: {count} lines are left out: {reason}")
        console.note(f"{len(selected)} tasks, log {path}, measured by {measurer.describe()}")
        transfer = of_other_logs(path, target.tvm_target(), measurer.describe())
        if transfer:
            console.note(f"starting from {len(transfer)} trials of other networks in {path.parent}")
        examples = _examples(like, logs, network.name) if like else ()
        display = None if console.quiet else Display(peak_gflops=peak)
        with display or contextlib.nullcontext():
            summary = search(
                selected,
                target,
                tuning_log,
                measurer,
                options=TuningOptions(trials=trials, tuner=tuner, force=force),
                observer=display,
                transfer=transfer,
                examples=examples,
            )
    if reranking and summary.trials and place.times_layers:
        after_tuning(network, target, device=device, threads=threads, logs=logs)
    if place.times_families:
        choose_family(
            network,
            target,
            device=device,
            simulate=simulate,
            threads=threads,
            logs=logs,
        )
        followed = chosen(path)  # not an emulator's
        console.note(f"builds use family {followed.family}; {followed.why}")
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
@threads_option
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
    from mnc.compile.device.opening import open_device
    from mnc.compile.device.options import DeviceOptions
    from mnc.targets import load

    network = as_model(model)
    target = load(target_name)
    place = open_device(target, DeviceOptions(address=device, simulate=simulate, threads=threads))
    if place.note is not None:
        console.note(place.note)
    choice = choose_family(
        network,
        target,
        device=device,
        simulate=simulate,
        threads=threads,
        logs=logs,
        seconds=seconds,
    )
    if as_json:
        print_json(choice)
    else:
        console.result(f"{choice.family}: {choice.why}")


def _examples(like: str, logs: Path, model_name: str) -> tuple[Any, ...]:
    """The trials of another target's log; a warning where it has none."""
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.targets import load

    path = log_path(logs, load(like).name, model_name)
    trials = tuple(TuningLog.open(path, exclusive=False).trials)
    if not trials:
        console.warn(f"{path} has no trials to begin with; tune {like} first, or leave out --like")
    return trials


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
