# SPDX-License-Identifier: Apache-2.0
"""Multiply-adds and parameters against the published table and the paper's saving equation."""

import pytest
import torch

from mnc.model.cost import KINDS, PUBLISHED, Cost, cost
from mnc.model.mobilenet_v1 import MobileNetV1, small_28x28
from mnc.model.names import parse
from mnc.model.overview import overview


def of(width: float, resolution: int) -> Cost:
    module = MobileNetV1(width=width, resolution=resolution)
    return cost(module, (1, 3, resolution, resolution))


PAPER = {  # Tables 6 and 7: millions, cut or rounded
    (1.0, 224): 569,
    (0.75, 224): 325,
    (0.5, 224): 149,
    (0.25, 224): 41,
    (1.0, 192): 418,
    (1.0, 160): 290,
    (1.0, 128): 186,
}
PARAMETERS = {1.0: 4.2, 0.75: 2.6, 0.5: 1.3, 0.25: 0.5}


AS_COUNTED = [name for name in PUBLISHED if name.startswith("mobilenet_v1")]
AS_COUNTED = [name for name in AS_COUNTED if "0.75_224" not in name and "0.5_224" not in name]


@pytest.mark.parametrize("name", AS_COUNTED)
def test_tf_slims_table(name: str) -> None:
    one = parse(name)
    assert one is not None
    assert round(of(one.width, one.resolution).multiply_adds / 1e6) == PUBLISHED[name][0]


@pytest.mark.parametrize("setting", PAPER)
def test_the_papers_tables(setting: tuple[float, int]) -> None:
    millions = of(*setting).multiply_adds / 1e6
    assert PAPER[setting] in (round(millions), int(millions))
    assert round(of(*setting).weights / 1e6, 1) == PARAMETERS[setting[0]]


def test_where_tf_slims_other_two_counts_come_from() -> None:
    """0.75: as if the stem had 16 channels. 0.5: half a million over, rounded up."""
    found = of(0.75, 224)
    stem, depthwise, pointwise = found.layers[:3]
    assert (stem.outputs, depthwise.outputs) == (24, 24)
    saved = sum(layer.multiply_adds for layer in (stem, depthwise, pointwise)) * (24 - 16) // 24
    assert round((found.multiply_adds - saved) / 1e6) == PUBLISHED["mobilenet_v1_0.75_224"][0]
    assert 149.4 < of(0.5, 224).multiply_adds / 1e6 < PUBLISHED["mobilenet_v1_0.5_224"][0]


def test_whole_network_to_the_unit() -> None:
    """Worked out by hand from the paper's Table 1."""
    outs = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    sizes = [112, 56, 56, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7]
    total, channels, weights = 112 * 112 * 32 * 27, 32, 32 * 27
    for out, size in zip(outs, sizes, strict=True):
        total += size * size * channels * (9 + out)
        weights += channels * (9 + out)
        channels = out
    found = of(1.0, 224)
    assert found.multiply_adds == total + 1024 * 1000 == 568_740_352
    assert found.weights == weights + 1024 * 1000
    assert round(found.weights / 1e6, 2) == 4.21
    assert len(found.layers) == 28


def test_shares() -> None:
    found = of(1.0, 224)
    percent = {kind: round(100 * found.share(kind), 1) for kind in KINDS}
    assert percent == {
        "pointwise": 94.9,
        "depthwise": 3.1,
        "first conv": 1.9,
        "dense": 0.2,
        "conv": 0.0,
    }


@pytest.mark.parametrize("width", [1.0, 0.75, 0.5, 0.25, 0.3])
def test_saving_is_the_papers_equation(width: float) -> None:
    savings = of(width, 128).savings()
    assert len(savings) == 13
    for saving in savings:
        assert saving.kernel == 3
        assert saving.ratio == pytest.approx(saving.predicted, rel=1e-12)
        assert 1 / 9 < saving.ratio < 1 / 9 + 1 / 8


def test_counts_do_not_depend_on_batch_and_leave_the_module_alone() -> None:
    module = small_28x28()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert cost(module, (4, 1, 28, 28)) == cost(module, (1, 1, 28, 28))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks for layer in module.modules())


@pytest.mark.parametrize(
    ("name", "parameters", "millions"),
    [
        ("mobilenet_v2", 3_504_872, 301),
        ("mobilenet_v3_small", 2_542_856, 57),
        ("mobilenet_v3_large", 5_483_032, 217),
        ("mobilenet_v4_conv_small", 3_774_024, 186),
        ("efficientnet_lite0", 4_652_008, 385),
    ],
)
def test_the_later_networks(name: str, parameters: int, millions: int) -> None:
    """Parameters as torchvision and timm document them; multiply-adds within 7 % of the papers', which count
    more than convolutions and dense layers, or print one digit.
    """
    one = overview(f"{name}_1.0_224")
    assert one.cost.all_parameters == parameters
    assert round(one.cost.multiply_adds / 1e6) == millions
    assert one.published is not None and millions == pytest.approx(one.published[0], rel=0.07)


def test_a_squeeze_is_no_half_of_a_separable_pair() -> None:
    """Of the large v3's 15 depthwise convolutions, 8 have a squeeze after them."""
    assert len(overview("mobilenet_v3_large_1.0_224").cost.savings()) == 7


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused() -> None:
    scripted = torch.jit.script(small_28x28().eval())
    with pytest.raises(ValueError, match="TorchScript"):
        cost(scripted, (1, 1, 28, 28))
