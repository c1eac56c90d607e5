# SPDX-License-Identifier: Apache-2.0
"""Verbs that only look: models, targets, tasks, machine."""

from pathlib import Path
from typing import Any

import click

from mnc.compile.cli import complete
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
from mnc.compile.records.paths import log_path
from mnc.support.errors import UserError


@click.command()
@click.argument("name", metavar="[MODEL]", required=False, shell_complete=complete.models)
@as_json_option
def models(name: str | None, as_json: bool) -> None:
    """List the models, or the layers of one.

    With what each costs in multiply-adds and parameters, as published and counted, and what separable
    convolutions save over standard ones.
    """
    if name is not None:
        _layers(name, as_json=as_json)
        return
    from mnc.model.overview import overviews

    table([_model_row(one) for one in overviews()], as_json=as_json)


def _model_row(one: Any) -> dict[str, Any]:
    savings = one.cost.savings()
    separable = sum(saving.separable for saving in savings)
    standard = sum(saving.standard for saving in savings)
    return {
        "model": one.name,
        "input": "x".join(map(str, one.image)),
        "multiply-adds (M)": one.cost.multiply_adds / 1e6,
        "published (M)": one.published[0] if one.published else None,
        "parameters (M)": one.cost.weights / 1e6,
        "pointwise %": 100 * one.cost.share("pointwise"),
        "depthwise %": 100 * one.cost.share("depthwise"),
        "of standard": separable / standard if standard else None,
        "weights": one.weights,
    }


def _layers(name: str, *, as_json: bool) -> None:
    from mnc.model import cost, zoo

    model = zoo.load(name)
    try:
        counted = cost.cost(model.module, model.input_shape)
    except ValueError as error:
        raise UserError(f"{name}: {error}, so they cannot be counted") from None
    savings = {saving.name: saving for saving in counted.savings()}
    rows = []
    for layer in counted.layers:
        saving = savings.get(layer.name)
        rows.append(
            {
                "layer": layer.name,
                "kind": layer.kind,
                "channels": f"{layer.inputs}->{layer.outputs}",
                "kernel": f"{layer.kernel}x{layer.kernel}/{layer.stride}",
                "size": f"{layer.size_in}->{layer.size_out}",
                "multiply-adds (M)": layer.multiply_adds / 1e6,
                "share %": 100 * layer.multiply_adds / counted.multiply_adds,
                "parameters": layer.weights,
                "of standard": saving.ratio if saving else None,
                "1/N + 1/Dk^2": saving.predicted if saving else None,
            }
        )
    table(rows, as_json=as_json)
    if not as_json:
        total = f"{counted.multiply_adds / 1e6:.1f} M multiply-adds"
        console.note(f"{len(rows)} layers, {total}, {counted.weights / 1e6:.2f} M parameters")


@click.command()
@as_json_option
def targets(as_json: bool) -> None:
    """List the targets: CPU, vector width, peak."""
    from mnc.targets import rows

    shown = [
        {
            "target": row.name,
            "cores": row.cores,
            "mcpu": row.mcpu,
            "vector bits": row.vector_bits,
            "peak GFLOP/s": row.peak_gflops,
            "description": row.description,
        }
        for row in rows()
    ]
    table(shown, as_json=as_json)


@click.command()
@model_options
@target_option
@logs_option
@as_json_option
def tasks(
    model_spec: str,
    model_flag: str | None,
    weights: Path | None,
    shape_text: str | None,
    batch: int,
    target_name: str,
    logs: Path,
    as_json: bool,
) -> None:
    """List MODEL's tunable operators and the log's results.

    Kind, shape, share of the multiply-adds, size of the config space, and the best rate measured so far.
    """
    from mnc.compile.frontend import importer
    from mnc.compile.frontend.tasks import extract_all
    from mnc.compile.records.ranking import best, current
    from mnc.compile.records.tuning_log import TuningLog
    from mnc.targets import load

    _, model = load_model(model_spec, model_flag, weights, shape_text, batch)
    target = load(target_name)
    with console.working(f"importing {model.name}"):
        found = extract_all(importer.import_model(model, target), target)
    path = log_path(logs, target.name, model.name)
    trials = TuningLog.open(path, exclusive=False, target=target.tvm_target()).trials
    total = sum(task.macs * task.calls for task in found if task.kind != "fused") or 1
    rows = []
    for task in found:
        known = current(trials, task.task)
        top = best(known, task.key)
        rows.append(
            {
                "kind": task.kind,
                "shape": task.shape,
                "calls": task.calls,
                "share %": 100 * task.macs * task.calls / total,
                "configs": len(task.task.config_space),
                "trials": len({trial.config.index for trial in known}),
                "best GFLOP/s": task.flops / top.cost / 1e9 if top else None,
                "tuned": top is not None,
                "costs": None if top is None else "simulated" if top.simulated else "measured",
            }
        )
    table(rows, as_json=as_json)


@click.command()
@target_option
@click.option("--fresh", is_flag=True, help="Measure again, whatever the cache says.")
@as_json_option
def machine(target_name: str, fresh: bool, as_json: bool) -> None:
    """Measure this machine's peak and memory speeds.

    By small kernels compiled through TVM: float32 multiply-adds, and reading from each level of memory.
    """
    from mnc.compile.machine.peaks import figures
    from mnc.targets import load, topology

    target = load(target_name)
    counts = sorted({1, topology.usable_cores()})
    with console.working("measuring this machine"):
        measured = [figures(target, count, fresh=fresh) for count in counts]
    if as_json:
        print_json(measured)
        return
    console.note(f"{target.description}: {target.tvm_target()}")
    rows = [
        {"threads": one.threads, "GFLOP/s": one.gflops}
        | {f"{level} GB/s": speed for level, speed in one.bandwidths.items()}
        | {"20 MiB again GB/s": one.again}
        for one in measured
    ]
    table(rows, as_json=False)


VERBS = (models, targets, tasks, machine)
