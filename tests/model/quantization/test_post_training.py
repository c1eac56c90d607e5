# SPDX-License-Identifier: Apache-2.0
"""From a float network to one in 8 bits: where the markers are, how near it stays, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn

from mnc.model import datasets, zoo
from mnc.model.preprocess import normalise
from mnc.model.quantization import kinds
from mnc.model.quantization.calibration import images as calibration_images
from mnc.model.quantization.post_training import Quantized, quantize
from mnc.model.quantization.reference import exact_reference, is_exact
from mnc.support.errors import UserError
from tests.model.quantization.networks import SHAPE, Blocks, Dead, Unknown, images, model_of


def seeded(made: type[nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    return made().eval()


def operators(made: Quantized) -> list[str]:
    assert isinstance(made.model.module, fx.GraphModule)
    return [kinds.kind(node) for node in made.model.module.graph.nodes if kinds.kind(node)]


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).detach().norm() / wanted.detach().norm())


def test_every_chain_between_markers_is_one_that_has_a_rule() -> None:
    made = quantize(model_of(seeded(Blocks)), images())
    q, w = "fake_quantize", "quantized_weight"
    assert operators(made) == [
        *(q, "pad", w, "_convolution", "hardtanh", q),
        *(w, "_convolution", q, "hardswish", q, w, "_convolution", "add", "relu", q),
        *("adaptive_avg_pool2d", q, w, "_convolution", "relu", q, w, "_convolution", q),
        *("hardsigmoid", q, "mul", q, "max_pool2d"),
        *(w, "_convolution", q, "silu", q, w, "_convolution", q, "cat", q, "mean", q),
        *(w, "linear"),
    ]
    (x,) = images(1)
    float_logits = seeded(Blocks)(x)
    assert relative(made.model.module(x), float_logits) < 0.1
    exact = torch.from_numpy(exact_reference(made.model.module)(x.numpy())[0])
    assert relative(exact, float_logits) < 0.1


def test_what_is_not_known_stays_float_and_so_does_what_only_it_reads() -> None:
    made = quantize(model_of(seeded(Unknown)), images())
    q, w = "fake_quantize", "quantized_weight"
    assert operators(made) == [
        *(q, w, "_convolution", "cumsum", q, w, "_convolution", "sin", "softmax")
    ]
    (x,) = images(1)
    assert relative(made.model.module(x), seeded(Unknown)(x)) < 0.05


def test_a_layer_kept_in_float() -> None:
    made = quantize(model_of(seeded(Blocks)), images(), keep_float=["pointwise"])
    assert operators(made).count("quantized_weight") == 7
    assert made.report.kept_float == ("pointwise",) and not is_exact(made.model.module, [SHAPE])
    assert is_exact(quantize(model_of(seeded(Blocks)), images()).model.module, [SHAPE])
    with pytest.raises(UserError, match=r"no layer is called 'pointwize'.*perhaps pointwise"):
        quantize(model_of(seeded(Blocks)), images(), keep_float=["pointwize"])


def test_zeros_constants_and_silent_channels_stay_finite() -> None:
    module = seeded(Dead)
    made = quantize(model_of(module), images())
    (x,) = images(1)
    for found in (
        made.model.module(x),
        torch.from_numpy(exact_reference(made.model.module)(x.numpy())[0]),
    ):
        assert bool(torch.isfinite(found).all())
        assert torch.allclose(found, module(x), atol=0.02)
    for name, tensor in made.model.module.named_buffers():
        assert bool(torch.isfinite(tensor.float()).all()), name
        assert not name.endswith("scale") or bool((tensor > 0).all())


def state(made: Quantized) -> dict[str, Any]:
    assert isinstance(made.model.module, fx.GraphModule)
    return {
        "code": made.model.module.code,
        **{k: v.numpy().tobytes() for k, v in made.model.module.named_buffers()},
    }


def test_the_same_bytes_on_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = state(quantize(model_of(seeded(Blocks)), images()))
        torch.set_num_threads(2)
        assert state(quantize(model_of(seeded(Blocks)), images())) == one
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("form", ["script", "trace", "export"])
def test_files_are_quantized_as_their_module_is(form: str, tmp_path: Path) -> None:
    module, (x,) = seeded(Blocks), images(1)
    path = tmp_path / ("net.pt2" if form == "export" else "net.pt")
    if form == "export":
        torch.export.save(torch.export.export(module, (x,)), path)
    else:
        whole: Any = torch.jit.script(module) if form == "script" else torch.jit.trace(module, x)  # type: ignore[no-untyped-call]
        torch.jit.save(whole, path)
    loaded = zoo.load(str(path), input_shape=None if form == "export" else SHAPE)
    made = quantize(loaded, images())
    assert operators(made).count("quantized_weight") == 8
    assert relative(made.model.module(x), module(x)) < 0.1


def test_one_image_is_enough_and_is_remarked_on() -> None:
    model = model_of(seeded(Blocks))
    assert not quantize(model, images()).report.remarks
    assert "1 image" in quantize(model, images(1)).report.remarks[0]
    with pytest.raises(UserError, match="no image to calibrate with"):
        quantize(model, [])
    with pytest.raises(UserError, match="takes"):
        quantize(model, [torch.zeros(1, 3, 8, 8)])


def test_the_report_says_what_each_layer_has() -> None:
    report = quantize(model_of(seeded(Blocks)), images()).report
    assert [layer.name for layer in report.layers] == [
        *("stem.0", "depthwise", "pointwise", "squeeze", "excite", "left", "right", "classifier")
    ]
    assert report.images == 8 and 15 < report.snr < 70
    assert all(10 < one.snr < 100 and one.least <= 0 <= one.most for one in report.stored)
    assert all(0 <= one.saturation < 0.1 for one in report.stored)
    assert all(0 < one.cost < 0.1 for one in report.layers)
    costliest = report.costliest(2)
    assert len(costliest) == 2 and costliest[0].cost == max(one.cost for one in report.layers)


@pytest.mark.slow
def test_fashion_mnist_stays_as_accurate() -> None:
    """Within 0.2 points of float on all 10,000 test images, by the integers themselves."""
    model, data = zoo.load("mobilenet_v1_28"), datasets.fashion_mnist()
    assert model.preprocess is not None
    found, origin = calibration_images(model)
    assert "Fashion-MNIST" in origin
    made = quantize(model, found)
    x = normalise(data.test_images, model.preprocess)
    run = exact_reference(made.model.module)
    exact = np.concatenate([run(x[i : i + 1000])[0] for i in range(0, len(x), 1000)])
    plain = np.concatenate([model.reference()(x[i : i + 1000])[0] for i in range(0, len(x), 1000)])
    hits = [float((one.argmax(1) == data.test_labels).mean()) for one in (exact, plain)]
    assert abs(hits[0] - hits[1]) < 0.002
    assert float((exact.argmax(1) == plain.argmax(1)).mean()) > 0.99
