# SPDX-License-Identifier: Apache-2.0
"""Post-training quantization: a trained float network and some images become the same network in 8 bits.

Takes a `Model` and images; gives the model with markers in it (`operators`) and a report of what was done.
"""

import dataclasses
import difflib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from mnc.model.quantization import costs, equalization, graph, kinds
from mnc.model.quantization.lockstep import Calibrated, calibrate
from mnc.model.quantization.plan import Plan, plan
from mnc.model.quantization.report import Layer, Report, Stored
from mnc.model.torch_run import one_thread
from mnc.model.zoo import Model
from mnc.support.errors import UserError

Images = Sequence[Tensor | np.ndarray[Any, np.dtype[np.float32]]]
PRICED = 2  # runs by which each layer's cost is told
JUDGES = 8  # runs by which it is decided whether to equalize
FEW = 8  # calibration images; a report says it where there are no more


@dataclasses.dataclass(frozen=True)
class Quantized:
    """The model in 8 bits, and what was done to it."""

    model: Model
    report: Report


def quantize(model: Model, images: Images, *, keep_float: Collection[str] = ()) -> Quantized:
    """`model` in 8 bits, calibrated with `images`, each float32 (1, C, H, W) as the network takes them.

    The layers named in `keep_float` stay in float32, and so does whatever is not known here. The same on
    every run. UserError for no images, images of another shape, and names that no layer has.
    """
    rows = runs_of(model, images)
    with one_thread(), torch.no_grad():  # sums in one order, whatever the machine
        return _quantized(model, rows, keep_float)


def _quantized(
    model: Model, rows: list[tuple[Tensor, ...]], keep_float: Collection[str]
) -> Quantized:
    module = graph.graph_of(model)
    check_names(module, keep_float)
    where = plan(module, keep_float)
    gain = _equalize(module, where, rows)
    found = calibrate(module, where, rows)
    price = costs.costs(module, found, rows[:PRICED])
    report = _report(module, where, found, len(rows), keep_float, gain, price)
    mark(module, found)
    made = dataclasses.replace(
        model,
        name=f"{model.name}_int8",
        network=module,
        precision="int8",
        quantization=report,
    )
    return Quantized(made, report)


def _equalize(module: fx.GraphModule, where: Plan, rows: list[tuple[Tensor, ...]]) -> float:
    """Equalize where it helps, by the outputs' signal to noise over some of the images; gives what it brings,
    in decibels, 0 where it is left out.
    """
    some = rows[:: max(1, -(-len(rows) // JUDGES))]
    before = {name: tensor.clone() for name, tensor in module.named_buffers()}
    plain = calibrate(module, where, some).snr
    equalization.equalize(module, where, equalization.ranges(module, where, rows))
    gain = calibrate(module, where, some).snr - plain
    if not gain > 0:
        for name, tensor in module.named_buffers():
            tensor.copy_(before[name])
    return max(gain, 0.0)


def mark(module: fx.GraphModule, found: Calibrated) -> None:
    """Put the markers, the weights and the biases that calibration found into the graph."""
    for number, (node, layer) in enumerate(found.layers.items()):
        tensors = {
            f"layer_{number}_weight": layer.weights.values,
            f"layer_{number}_scale": layer.weights.scale,
            f"layer_{number}_bias": layer.bias,
        }
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        with module.graph.inserting_before(node):
            values, scale, bias = (module.graph.get_attr(name) for name in tensors)
            weight = module.graph.call_function(
                torch.ops.mnc.quantized_weight.default, (values, scale)
            )
        node.args = (node.args[0], weight, bias, *node.args[3:])
    for node, stored in found.stored.items():
        with module.graph.inserting_after(node):
            marker = module.graph.call_function(
                torch.ops.mnc.fake_quantize.default,
                (node, stored.grid.scale, stored.grid.zero_point),
            )
        marker.meta = dict(node.meta)
        node.replace_all_uses_with(marker, delete_user_cb=lambda user, own=marker: user is not own)  # type: ignore[misc]
    module.graph.eliminate_dead_code(lambda node: node.op in {"placeholder", "output"})
    module.graph.lint()
    for name in set(dict(module.named_buffers())) - {str(one.target) for one in module.graph.nodes}:
        delattr(module, name)
    module.recompile()


def runs_of(model: Model, images: Images) -> list[tuple[Tensor, ...]]:
    """The inputs of each run: an image for each place of the batch, and noise for further inputs."""
    if not images:
        raise UserError("no image to calibrate with; give one at least, some dozens are better")
    tensors = [torch.as_tensor(one).float() for one in images]
    wanted = model.input_shape
    for one in tensors:
        if tuple(one.shape[1:]) != tuple(wanted[1:]):
            raise UserError(
                f"an image to calibrate with is {tuple(one.shape)}, and {model.name} takes"
                f" {tuple(wanted)}; prepare it as the network's inputs are"
            )
    single = torch.cat(tensors)
    batch = wanted[0]
    runs = -(-len(single) // batch)
    whole = single[torch.arange(runs * batch) % len(single)]
    generator = torch.Generator().manual_seed(0)
    others = [
        [torch.rand(one.shape, generator=generator) * 2 - 1 for one in model.more_inputs]
        for _ in range(runs)
    ]
    return [(whole[i * batch : (i + 1) * batch].contiguous(), *others[i]) for i in range(runs)]


def check_names(module: fx.GraphModule, keep_float: Collection[str]) -> None:
    """UserError for names that no layer has."""
    names = [node.meta["name"] for node in module.graph.nodes if node.op == "call_function"]
    layers = [node.meta["name"] for node in module.graph.nodes if kinds.is_layer(node, module)]
    for name in keep_float:
        if name not in names:
            near = difflib.get_close_matches(name, names, cutoff=0.3) or layers[:3]
            raise UserError(
                f"no layer is called {name!r}, to be kept in float; "
                + (f"perhaps {', '.join(near)}" if near else "the network has none")
            )


def _report(
    module: fx.GraphModule,
    where: Plan,
    found: Calibrated,
    images: int,
    keep_float: Collection[str],
    equalized: float,
    price: dict[fx.Node, float],
) -> Report:
    computing = [
        node
        for node in module.graph.nodes
        if kinds.kind(node) in kinds.CONVOLUTIONS | {"linear"} and node not in where.layers
    ]
    remarks = []
    if images < FEW:
        remarks.append(
            f"calibrated with {images} image(s) only: ranges may be too narrow for others"
        )
    return Report(
        images=images,
        snr=found.snr,
        equalized=equalized,
        stored=tuple(
            Stored(
                name=node.meta["name"],
                operator=kinds.kind(node) or "input",
                least=one.grid.least,
                most=one.grid.most,
                scale=one.grid.scale,
                zero_point=one.grid.zero_point,
                saturation=one.saturation,
                snr=one.snr,
            )
            for node, one in found.stored.items()
        ),
        layers=tuple(
            Layer(
                name=node.meta["name"],
                operator=kinds.kind(node),
                weights=one.weights.values.numel(),
                snr=one.snr,
                cost=price[node],
            )
            for node, one in found.layers.items()
        ),
        kept_float=tuple(dict.fromkeys([*keep_float, *(node.meta["name"] for node in computing)])),
        remarks=tuple(remarks),
    )
