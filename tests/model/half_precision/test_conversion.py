# SPDX-License-Identifier: Apache-2.0
"""What leaves half precision's range is left in float32 and named; the rest loses little by rounding."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mnc.model.half_precision import bias
from mnc.model.half_precision.conversion import in_half
from mnc.model.quantization import graph, kinds
from mnc.support.errors import UserError
from tests.model.half_precision.networks import Loud
from tests.model.quantization.networks import SHAPE, Blocks, model_of

IMAGES = [torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))]


def test_layers_beyond_the_range_are_named_and_kept() -> None:
    torch.manual_seed(0)
    model = model_of(Loud())
    made = in_half(model, IMAGES)
    assert made.half is not None and set(made.half.kept_float) == {"loud", "loud.relu"}
    assert "float16 ends at 65504" in made.half.kept_float["loud"]
    assert made.name == f"{model.name}_fp16" and made.precision == "fp16"
    image = IMAGES[0].numpy()
    assert made.reference()(image)[0] == pytest.approx(model.reference()(image)[0], rel=1e-4)


def test_a_network_within_the_range_has_the_error_of_each_way_to_add() -> None:
    torch.manual_seed(0)
    model = model_of(Blocks())
    made = in_half(model, IMAGES)
    assert made.half is not None and not made.half.kept_float
    image = IMAGES[0].numpy()
    assert made.reference()(image)[0] == pytest.approx(model.reference()(image)[0], rel=1e-4)
    layers = {one.name: one for one in made.half.layers}
    sums = layers["right"].sums
    assert sums is not None and layers["right"].products == 72
    assert 1e-5 < sums.in_float32 <= sums.by_blocks == sums.at_once < 2e-3


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_bias_makes_up_for_what_rounding_the_weights_takes_on_average(groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, 3, groups=groups)
    data = torch.rand(2, 8, 20, 20) + torch.arange(8).reshape(1, 8, 1, 1)
    module = graph.graph_of(model_of(layer, shape=data.shape))
    (node,) = (one for one in module.graph.nodes if kinds.is_layer(one, module))
    made = bias.corrected(module, node, bias.means(node, data))
    weight = layer.weight.detach().half().float()
    off, before = (
        (F.conv2d(data, weight, one, groups=groups) - layer(data)).detach().mean((0, 2, 3)).abs()
        for one in (made, layer.bias)
    )
    assert off.max() < 0.1 * before.max()


def test_layers_are_kept_as_asked_for() -> None:
    made = in_half(model_of(Blocks()), IMAGES, keep_float=("squeeze",))
    assert made.half is not None and made.half.kept_float == {"squeeze": "as asked for"}
    with pytest.raises(UserError, match=r"no layer is called 'squeez'.*perhaps squeeze"):
        in_half(model_of(Blocks()), IMAGES, keep_float=("squeez",))
