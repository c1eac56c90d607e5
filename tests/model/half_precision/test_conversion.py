# SPDX-License-Identifier: Apache-2.0
"""What leaves half precision's range is found, named and left in float32."""

import pytest
import torch

from mnc.model.half_precision.conversion import in_half
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


def test_a_network_within_the_range_is_left_as_it_is_with_the_error_of_each_way_to_add() -> None:
    torch.manual_seed(0)
    model = model_of(Blocks())
    made = in_half(model, IMAGES)
    assert made.half is not None and made.network is model.network and not made.half.kept_float
    layers = {one.name: one for one in made.half.layers}
    sums = layers["right"].sums
    assert sums is not None and layers["right"].products == 72
    assert 1e-5 < sums.in_float32 <= sums.by_blocks == sums.at_once < 2e-3


def test_layers_are_kept_as_asked_for() -> None:
    made = in_half(model_of(Blocks()), IMAGES, keep_float=("squeeze",))
    assert made.half is not None and made.half.kept_float == {"squeeze": "as asked for"}
    with pytest.raises(UserError, match=r"no layer is called 'squeez'.*perhaps squeeze"):
        in_half(model_of(Blocks()), IMAGES, keep_float=("squeez",))
