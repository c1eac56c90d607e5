# SPDX-License-Identifier: Apache-2.0
"""What each layer in 8 bits costs the network's outputs: their error where that layer alone is in integers.

Takes a float graph and what calibration found for it; gives relative errors. Only what reads the layer is run
again.
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx

from mnc.model.quantization.lockstep import Calibrated
from mnc.model.quantization.operators import fake_quantize

Values = dict[fx.Node, Any]


def costs(
    module: fx.GraphModule, found: Calibrated, images: Sequence[tuple[Tensor, ...]]
) -> dict[fx.Node, float]:
    """By layer: the norm of its error at the outputs over that of the outputs, over `images`, each a row of
    the network's inputs. The layer's weights and the map that it reads are in 8 bits, nothing else is.
    """
    error = dict.fromkeys(found.layers, 0.0)
    signal = 0.0
    outputs = [one for node in module.graph.find_nodes(op="output") for one in node.all_input_nodes]
    for row in images:
        exact = values_of(module, row)
        signal += sum(float((exact[one].double() ** 2).sum()) for one in outputs)
        for layer in found.layers:
            changed = _after(module, layer, _in_integers(layer, found, exact), exact)
            error[layer] += sum(
                float(((changed[one].double() - exact[one].double()) ** 2).sum()) for one in outputs
            )
    return {layer: math.sqrt(one / max(signal, 1e-30)) for layer, one in error.items()}


def values_of(module: fx.GraphModule, row: tuple[Tensor, ...]) -> Values:
    """What every node of a graph gives for a row of its inputs."""
    inputs = iter(row)
    values: Values = {}
    for node in module.graph.nodes:
        if node.op == "placeholder":
            values[node] = next(inputs)
        elif node.op == "get_attr":
            values[node] = getattr(module, str(node.target))
        elif node.op != "output":
            values[node] = _run(node, values)
    return values


def _in_integers(layer: fx.Node, found: Calibrated, exact: Values) -> Tensor:
    source, weight = layer.args[:2]
    stored = found.stored.get(source)  # type: ignore[arg-type]
    x = exact[source]  # type: ignore[index]
    if stored is not None:
        x = fake_quantize(x, stored.grid.scale, stored.grid.zero_point)
    own: Values = {**exact}
    own.update({source: x, weight: found.layers[layer].weights.real()})  # type: ignore[dict-item]
    made: Tensor = _run(layer, own)
    return made


def _after(module: fx.GraphModule, layer: fx.Node, value: Tensor, exact: Values) -> Values:
    """All values where `layer` gives `value`."""
    changed: Values = {layer: value}
    for node in module.graph.nodes:
        if node.op != "output" and any(one in changed for one in node.all_input_nodes):
            changed[node] = _run(node, {**exact, **changed})
    return {**exact, **changed}


def _run(node: fx.Node, values: Values) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
    return node.target(*args, **kwargs)  # type: ignore[operator]
