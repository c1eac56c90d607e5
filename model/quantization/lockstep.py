# SPDX-License-Identifier: Apache-2.0
"""A network in float32 and as it will be in 8 bits, side by side over the calibration's images, node by node.

Takes a graph, its plan and the images; gives each value's grid and each layer's weights and bias. A layer's
bias and scales take up the error of all that came before it: what follows sees, in each channel, the mean and
the spread of the float network. Ranges that cut make maps narrower, layer by layer, else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, fx

from mnc.model.quantization import graph, ranges, weights
from mnc.model.quantization.operators import fake_quantize
from mnc.model.quantization.plan import Plan
from mnc.model.quantization.ranges import Grid
from mnc.model.quantization.weights import Weights

Samples = list[Any]  # one a calibration image
MOST_GAIN = 1.25  # that a channel's spread is mended by, either way


@dataclass(frozen=True)
class LayerNumbers:
    """A layer in 8 bits: its weights, its corrected bias (float32), and its output's signal to noise."""

    weights: Weights
    bias: Tensor
    snr: float


@dataclass(frozen=True)
class StoredNumbers:
    """A value in 8 bits: its grid, the share of values outside it, and its signal to noise in decibels."""

    grid: Grid
    saturation: float
    snr: float


@dataclass
class Calibrated:
    """What calibration found, by node; `snr` is of the network's outputs."""

    layers: dict[fx.Node, LayerNumbers] = field(default_factory=dict)
    stored: dict[fx.Node, StoredNumbers] = field(default_factory=dict)
    snr: float = 0.0


def calibrate(
    module: fx.GraphModule, plan: Plan, images: Sequence[tuple[Tensor, ...]]
) -> Calibrated:
    """Over `images`, each a row of the network's inputs."""
    found = Calibrated()
    exact: dict[fx.Node, Samples] = {}
    rounded: dict[fx.Node, Samples] = {}
    inputs = iter(range(len(images[0])))
    last = _last_uses(module.graph)
    for node in module.graph.nodes:
        if node.op == "placeholder":
            place = next(inputs)
            exact[node] = rounded[node] = [row[place] for row in images]
        elif node.op == "get_attr":
            exact[node] = rounded[node] = [getattr(module, str(node.target))] * len(images)
        elif node.op == "output":
            found.snr = _outputs_snr(node, exact, rounded)
        else:
            exact[node] = [_run(node, exact, i) for i in range(len(images))]
            if node in plan.layers:
                rounded[node], found.layers[node] = _layer(module, node, exact, rounded)
            elif all(exact[one] is rounded[one] for one in node.all_input_nodes):
                rounded[node] = exact[node]
            else:
                rounded[node] = [_run(node, rounded, i) for i in range(len(images))]
        if node in plan.stored:
            rounded[node], found.stored[node] = _stored(exact[node], rounded[node])
        for one in last.get(node, ()):
            exact.pop(one, None), rounded.pop(one, None)
    return found


def signal_to_noise(exact: Sequence[Tensor], rounded: Sequence[Tensor]) -> float:
    """In decibels, 200 at most."""
    signal = sum(float((one.double() ** 2).sum()) for one in exact)
    noise = sum(
        float(((one.double() - other.double()) ** 2).sum())
        for one, other in zip(exact, rounded, strict=True)
    )
    ratio = torch.tensor((signal + 1e-30) / (noise + 1e-20 * signal + 1e-30), dtype=torch.float64)
    return float(10 * torch.log10(ratio))


def _layer(
    module: fx.GraphModule,
    node: fx.Node,
    exact: dict[fx.Node, Samples],
    rounded: dict[fx.Node, Samples],
) -> tuple[Samples, LayerNumbers]:
    source, weight, bias = (*node.args, None)[:3]
    made = weights.quantized(graph.constant(module, weight))
    real = made.real()
    run: Any = node.target
    inputs = rounded[cast(fx.Node, source)]
    outputs = [run(x, real, None, *node.args[3:], **node.kwargs) for x in inputs]
    wanted = exact[node]
    gain, corrected = _correction(wanted, outputs)
    if not bool(torch.isfinite(corrected).all()):  # of a network that gives no numbers itself
        gain = torch.ones_like(corrected)
        corrected = gain * 0 if bias is None else graph.constant(module, bias)
    made = Weights(made.values, made.scale * gain)
    shape = (1, -1, *[1] * (wanted[0].dim() - 2))
    by, more = gain.reshape(shape), corrected.reshape(shape)
    outputs = [one.mul_(by).add_(more) for one in outputs]
    return outputs, LayerNumbers(made, corrected, signal_to_noise(wanted, outputs))


def _correction(wanted: Samples, outputs: Samples) -> tuple[Tensor, Tensor]:
    """For each channel the (factor, summand), float32, that give `outputs` mean and spread of `wanted`.

    The factor is 1 where no value differs from another, and for single numbers, of which there are too few.
    """
    mean, spread = _moments(wanted)
    own_mean, own_spread = _moments(outputs)
    gain = torch.nan_to_num(spread / own_spread, nan=1.0).clamp(1 / MOST_GAIN, MOST_GAIN)
    if wanted[0].dim() == 2:
        gain = torch.ones_like(gain)
    return gain.float(), (mean - gain * own_mean).float()


def _moments(values: Samples) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, float64."""
    axes = [axis for axis in range(values[0].dim()) if axis != 1]
    mean = torch.stack([one.double().mean(axes) for one in values]).mean(0)
    square = torch.stack([one.double().square().mean(axes) for one in values]).mean(0)
    return mean, (square - mean.square()).clamp(min=0).sqrt()


def _stored(exact: Samples, rounded: Samples) -> tuple[Samples, StoredNumbers]:
    grid = ranges.best(ranges.histogram(exact))
    marked = [fake_quantize(one, grid.scale, grid.zero_point) for one in rounded]
    half = grid.scale / 2
    outside = sum(
        int(((one < grid.least - half) | (one > grid.most + half)).sum()) for one in rounded
    )
    share = outside / max(sum(one.numel() for one in rounded), 1)
    return marked, StoredNumbers(grid, share, signal_to_noise(exact, marked))


def _run(node: fx.Node, values: dict[fx.Node, Samples], place: int) -> Any:
    args, kwargs = fx.map_arg((node.args, node.kwargs), lambda one: values[one][place])
    return node.target(*args, **kwargs)  # type: ignore[operator]


def _outputs_snr(
    node: fx.Node, exact: dict[fx.Node, Samples], rounded: dict[fx.Node, Samples]
) -> float:
    pairs = [
        (exact[one][i], rounded[one][i])
        for one in node.all_input_nodes
        for i in range(len(exact[one]))
    ]
    return signal_to_noise([one for one, _ in pairs], [other for _, other in pairs])


def _last_uses(of: fx.Graph) -> dict[fx.Node, list[fx.Node]]:
    """For each node the values that nothing after it reads."""
    last: dict[fx.Node, fx.Node] = {}
    for node in of.nodes:
        last[node] = node
        for one in node.all_input_nodes:
            last[one] = node
    uses: dict[fx.Node, list[fx.Node]] = {}
    for one, node in last.items():
        uses.setdefault(node, []).append(one)
    return uses
