# SPDX-License-Identifier: Apache-2.0
"""Verbs that only look: models, targets, tasks, machine."""

from pathlib import Path
from typing import Any

import click

from mnc.compile import api
from mnc.compile.api import ModelSpec, TaskRow
from mnc.compile.cli import complete
from mnc.compile.cli.common import (
    as_json_option,
    console,
    logs_option,
    model_options,
    print_json,
    table,
    target_option,
)


@click.command()
@click.argument("name", metavar="[MODEL]", required=False, shell_complete=complete.models)
@as_json_option
def models(name: str | None, as_json: bool) -> None:
    """List the models, or the layers of one.

    With what each costs in multiply-adds, as published and counted, and in parameters, and what separable
    convolutions save over standard ones. Counted are convolutions and dense layers, without biases and
    batch normalisation; some publications count more.
    """
    if name is not None:
        _layers(name, as_json=as_json)
    else:
        table([_model_row(one) for one in api.models()], as_json=as_json)


def _model_row(one: Any) -> dict[str, Any]:
    return {
        "model": one.name,
        "input": "x".join(map(str, one.image)),
        "multiply-adds (M)": one.cost.multiply_adds / 1e6,
        "published (M)": one.published[0] if one.published else None,
        "parameters (M)": one.cost.weights / 1e6,
        "pointwise %": 100 * one.cost.share("pointwise"),
        "depthwise %": 100 * one.cost.share("depthwise"),
        "of standard": one.cost.of_standard,
        "weights": one.weights,
    }


def _layers(name: str, *, as_json: bool) -> None:
    counted = api.layers(name)
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
    shown = [
        {
            "target": row.name,
            "cores": row.cores,
            "mcpu": row.mcpu,
            "vector bits": row.vector_bits,
            "peak GFLOP/s": row.peak_gflops,
            "description": row.description,
        }
        for row in api.targets()
    ]
    table(shown, as_json=as_json)


@click.command()
@model_options
@target_option
@logs_option
@as_json_option
def tasks(
    model: ModelSpec,
    target_name: str,
    logs: Path,
    as_json: bool,
) -> None:
    """List MODEL's tunable operators and the log's results.

    Kind, shape, share of the multiply-adds, size of the config space, and the best rate measured so far.
    """
    rows = [
        {
            "kind": row.kind,
            "shape": row.shape,
            "calls": row.calls,
            "share %": 100 * row.share,
            "configs": row.configs,
            "trials": row.trials,
            "best GFLOP/s": row.best_gflops,
            "tuned": row.best_gflops is not None,
            "costs": _costs(row),
        }
        for row in api.tasks(model, target_name, logs=logs)
    ]
    table(rows, as_json=as_json)


def _costs(row: TaskRow) -> str | None:
    """What the best rate was had by."""
    if row.best_gflops is None:
        return None
    return "simulated" if row.simulated else "measured"


@click.command()
@target_option
@click.option("--fresh", is_flag=True, help="Measure again, whatever the cache says.")
@as_json_option
def machine(target_name: str, fresh: bool, as_json: bool) -> None:
    """Measure this machine's peak and memory speeds.

    By small kernels compiled through TVM: float32 multiply-adds, and reading from each level of memory.
    """
    report = api.machine(target_name, fresh=fresh)
    if as_json:
        print_json(report.figures)
        return
    console.note(f"{report.target.description}: {report.target.tvm_target()}")
    rows = [
        {"threads": one.threads, "GFLOP/s": one.gflops}
        | {f"{level} GB/s": speed for level, speed in one.bandwidths.items()}
        | {"20 MiB again GB/s": one.again}
        for one in report.figures
    ]
    table(rows, as_json=False)


VERBS = (models, targets, tasks, machine)
