# SPDX-License-Identifier: Apache-2.0
"""The verb build: from a model and the log to an artifact, compared with PyTorch and timed."""

import time
from pathlib import Path
from typing import Any

import click

from mnc.compile.artifact.paths import artifact_folder
from mnc.compile.cli.artifacts import VERIFY_FAILED, compared
from mnc.compile.cli.common import (
    as_json_option,
    console,
    load_model,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
)
from mnc.compile.cli.timing import raced
from mnc.compile.records.paths import log_path
from mnc.compile.records.tuning_log import OTHER_DEVICE


@click.command()
@model_options
@target_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build"),
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
    model_spec: str,
    model_flag: str | None,
    weights: Path | None,
    shape_text: str | None,
    batch: int,
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
    from mnc.compile.artifact import store, writer
    from mnc.compile.codegen import network
    from mnc.compile.records.family_choice import chosen
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.targets import load

    spec, model = load_model(model_spec, model_flag, weights, shape_text, batch)
    target = load(target_name)
    folder = artifact_folder(out, target, model)
    store.check_replaceable(folder)
    path = log_path(logs, target.name, model.name)
    tuning_log = TuningLog.open(path, exclusive=False, target=target.tvm_target())
    choice = chosen(path)
    started = time.monotonic()
    with console.working(f"compiling {model.name} for {target.name}"):
        built = network.build(model, target, tuning_log.trials, family=choice.family)
    with console.working(
        f"linking {model.name} for {target.name}, asking PyTorch for golden outputs"
    ):
        saved = writer.save(built, model, target, folder, spec=spec, log=path, cc=cc, choice=choice)
    seconds = time.monotonic() - started
    _say_what_was_used(built, tuning_log, path)
    console.note(f"kernel family: {choice.family}; {choice.why}")
    console.note(f"{model.name} for {target.name} in {seconds:.1f} s, weights: {model.weights}")
    if not as_json:
        console.result(str(folder))
    parity, latency = [], []
    if check and _can_run(saved):
        from mnc.compile.runtime.session import Session

        session = Session(saved)
        parity = compared(saved, session, reference=model.module)
        latency = raced(saved, session, reference=model.module)
    if as_json:
        print_json(
            {
                "artifact": str(folder),
                "seconds": seconds,
                "tuned": len(built.used),
                "default": [f"{task.kind} {task.shape}" for task in built.fell_back],
                "parity": parity,
                "latency": latency,
            }
        )
    elif parity:
        table(parity, as_json=False)
        table(latency, as_json=False)
    if not all(row["ok"] for row in parity):
        context.exit(VERIFY_FAILED)


def _can_run(saved: Any) -> bool:
    from mnc.compile.runtime.session import check_cpu
    from mnc.support.errors import UserError

    try:
        check_cpu(saved.manifest.target)
    except UserError:
        console.note("not compared or timed here: this machine is another CPU; on its device,")
        console.note(f"mnc verify {saved.folder} --device rpc://HOST:PORT/KEY")
        return False
    return True


def _say_what_was_used(built: Any, tuning_log: Any, path: Path) -> None:
    simulated = sum(trial.simulated for trial in built.used.values())
    by = f" ({simulated} by simulated costs, no device's)" if simulated else ""
    console.note(f"tuned kernels: {len(built.used)} of {len(built.tasks)} tasks{by}, log {path}")
    for reason, count in tuning_log.skipped.items():
        if reason == OTHER_DEVICE:
            continue  # said below, with its name
        console.warn(f"{path}: {count} lines are left out: {reason}")
    for model, count in tuning_log.other_models.items():
        console.warn(f"{path}: {count} trials are of another CPU, {model}, and are not used")
    if built.fell_back:
        names = ", ".join(f"{task.kind} {task.shape}" for task in built.fell_back)
        console.note(f"default kernels: {names}")


VERBS = (build,)
