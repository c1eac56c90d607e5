# SPDX-License-Identifier: Apache-2.0
"""The verb quantize: what 8-bit integers do to a network, layer by layer."""

import click

from mnc.compile import api
from mnc.compile.api import ModelSpec
from mnc.compile.cli.common import (
    as_json_option,
    console,
    integer_model_options,
    print_json,
    table,
)


@click.command()
@integer_model_options
@as_json_option
def quantize(model: ModelSpec, as_json: bool) -> None:
    """Say what 8-bit integers do to MODEL.

    For each map that is stored its range, the share of values outside it and its signal to noise; for each
    layer its own, and its cost: the error of the outputs where it alone is in integers. What costs much can
    be left in float32 with --keep-float. `mnc build --precision int8` writes the same into the artifact, as
    quantization.json.
    """
    report = api.quantize(model)
    if as_json:
        print_json(report)
        return
    maps = [
        {
            "map": one.name,
            "operator": one.operator,
            "least": one.least,
            "most": one.most,
            "zero point": one.zero_point,
            "outside %": 100 * one.saturation,
            "dB": one.snr,
        }
        for one in report.stored
    ]
    layers = [
        {"layer": one.name, "weights": one.weights, "dB": one.snr, "cost %": 100 * one.cost}
        for one in report.costliest(len(report.layers))
    ]
    table(maps, as_json=False)
    table(layers, as_json=False)
    console.note(
        f"outputs: {report.snr:.1f} dB over {report.images} runs, {_equalized(report.equalized)}"
    )
    if report.kept_float:
        console.note(f"in float32: {', '.join(report.kept_float)}")
    for remark in report.remarks:
        console.warn(remark)


def _equalized(gain: float) -> str:
    return (
        f"{gain:.1f} of them by equalization" if gain else "without equalization, which brings none"
    )


VERBS = (quantize,)
