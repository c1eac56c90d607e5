# SPDX-License-Identifier: Apache-2.0
"""What a network costs: multiply-adds and parameters, layer by layer, and what separability saves.

Takes a module and its input shape; gives a `Cost`. The network is run on torch's meta device, which
knows shapes but computes nothing. Counted as in the paper: convolutions and dense layers only.
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mnc.model.folding import evaluation

Kind = Literal["first conv", "depthwise", "pointwise", "dense", "conv"]
KINDS: tuple[Kind, ...] = ("first conv", "depthwise", "pointwise", "dense", "conv")

# Published: millions of multiply-adds and top-1 in %. MobileNet v1's are TF-slim's, the others their papers',
# EfficientNet-lite0's its release's. Where they are not what is counted here:
# v1 0.75-224 has 325 million, as the paper's Table 6 says; 317 is what it would be with 16 channels, not 24,
# after the first convolution. v1 0.5-224 has 149.5 million, which the paper rounds to 149 and TF-slim to 150.
# v3's and lite0's count more than convolutions and dense layers (217 and 385 here). v4's is printed as 0.2 G.
PUBLISHED = {
    "mobilenet_v1_1.0_224": (569, 70.9),
    "mobilenet_v1_1.0_192": (418, 70.0),
    "mobilenet_v1_1.0_160": (291, 68.0),
    "mobilenet_v1_1.0_128": (186, 65.2),
    "mobilenet_v1_0.75_224": (317, 68.4),
    "mobilenet_v1_0.5_224": (150, 63.3),
    "mobilenet_v1_0.25_224": (41, 49.8),
    "mobilenet_v1_0.25_128": (14, 41.5),
    "mobilenet_v2_1.0_224": (300, 72.0),
    "mobilenet_v3_small_1.0_224": (56, 67.4),
    "mobilenet_v3_large_1.0_224": (219, 75.2),
    "mobilenet_v4_conv_small_1.0_224": (200, 73.8),
    "efficientnet_lite0_1.0_224": (407, 75.1),
}


@dataclass(frozen=True)
class LayerCost:
    """One convolution or dense layer, for one image. Sizes are of the maps' sides, in pixels;
    `weights` counts the parameters without bias. A dense layer has kernel, stride and sizes of 1.
    """

    name: str
    kind: Kind
    inputs: int
    outputs: int
    kernel: int
    stride: int
    size_in: int
    size_out: int
    multiply_adds: int
    weights: int


@dataclass(frozen=True)
class Saving:
    """A depthwise convolution and the pointwise one after it, against one standard convolution."""

    name: str
    kernel: int
    outputs: int
    separable: int
    standard: int

    @property
    def ratio(self) -> float:
        """Multiply-adds of the pair over those of the standard convolution."""
        return self.separable / self.standard

    @property
    def predicted(self) -> float:
        """The paper's equation for that ratio: 1/N + 1/Dk^2."""
        return 1 / self.outputs + 1 / self.kernel**2


@dataclass(frozen=True)
class Cost:
    """The layers in the order they run. `all_parameters` counts biases and BN's as well."""

    layers: tuple[LayerCost, ...]
    all_parameters: int

    @property
    def multiply_adds(self) -> int:
        """Of one image through the whole network."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def weights(self) -> int:
        """Parameters without biases and batch normalisation, as the paper counts them."""
        return sum(layer.weights for layer in self.layers)

    @property
    def of_standard(self) -> float | None:
        """Multiply-adds of the separable layers over those of standard ones; None without any."""
        savings = self.savings()
        standard = sum(saving.standard for saving in savings)
        return sum(saving.separable for saving in savings) / standard if standard else None

    def share(self, kind: Kind) -> float:
        """The part of the multiply-adds that layers of this kind do, 0..1."""
        done = sum(layer.multiply_adds for layer in self.layers if layer.kind == kind)
        return done / max(self.multiply_adds, 1)

    def savings(self) -> tuple[Saving, ...]:
        """For each depthwise layer with a pointwise one right after it, what the pair saves."""
        pairs = zip(self.layers, self.layers[1:], strict=False)
        return tuple(
            Saving(
                name=depthwise.name,
                kernel=depthwise.kernel,
                outputs=pointwise.outputs,
                separable=depthwise.multiply_adds + pointwise.multiply_adds,
                standard=depthwise.multiply_adds * pointwise.outputs,
            )
            for depthwise, pointwise in pairs
            if (depthwise.kind, pointwise.kind) == ("depthwise", "pointwise")
            and depthwise.size_out == pointwise.size_in  # else a squeeze stands between
        )


def cost(module: nn.Module, *input_shapes: tuple[int, ...]) -> Cost:
    """The cost of one image, of shapes without their first axis; the module is not changed.

    ValueError for TorchScript, which hides its layers. An exported program has operators and no
    layers: its cost has none either.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError("TorchScript hides its layers")
    network = evaluation(copy.deepcopy(module)).to("meta")
    layers: list[LayerCost] = []
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(_recorder(name, layers))
    with torch.no_grad():
        network(*(torch.zeros((1, *shape[1:]), device="meta") for shape in input_shapes))
    return Cost(tuple(layers), sum(parameter.numel() for parameter in module.parameters()))


def _recorder(name: str, layers: list[LayerCost]) -> Any:
    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            layers.append(_convolution(name, layer, inputs[0], output, first=not layers))
        elif isinstance(layer, nn.Linear):
            layers.append(_dense(name, layer, output))

    return record


def _convolution(
    name: str, layer: nn.Conv2d, x: Tensor, output: Tensor, *, first: bool
) -> LayerCost:
    return LayerCost(
        name=name,
        kind=_kind(layer, first=first),
        inputs=layer.in_channels,
        outputs=layer.out_channels,
        kernel=layer.kernel_size[0],
        stride=layer.stride[0],
        size_in=x.shape[-1],
        size_out=output.shape[-1],
        # Each output value takes one multiply-add for each weight of its filter.
        multiply_adds=output[0].numel() * layer.weight[0].numel(),
        weights=layer.weight.numel(),
    )


def _dense(name: str, layer: nn.Linear, output: Tensor) -> LayerCost:
    return LayerCost(
        name=name,
        kind="dense",
        inputs=layer.in_features,
        outputs=layer.out_features,
        kernel=1,
        stride=1,
        size_in=1,
        size_out=1,
        multiply_adds=output[0].numel() * layer.in_features,
        weights=layer.weight.numel(),
    )


def _kind(layer: nn.Conv2d, *, first: bool) -> Kind:
    if layer.groups == layer.in_channels == layer.out_channels and layer.groups > 1:
        return "depthwise"
    if layer.groups == 1 and layer.kernel_size == (1, 1):
        return "pointwise"
    return "first conv" if first else "conv"
