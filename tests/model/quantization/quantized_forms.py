# SPDX-License-Identifier: Apache-2.0
"""One small network as each of PyTorch's tools quantizes it: trained so, converted, pairs of operators."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.ao import quantization as ao
from torch.ao.quantization import quantize_fx
from torch.nn import functional as F

from mnc.model import zoo
from tests.model.quantization.networks import images, model_of

SHAPE = (1, 3, 12, 12)
FORMS = ("trained", "trained.pt", "trained.pt2", "converted", "converted.pt", "pairs.pt2")


class Net(nn.Module):
    """Convolutions with BN, hard swish, a residual sum and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.hardswish, self.pointwise = nn.Hardswish(), nn.Conv2d(8, 8, 1)
        self.relu6, self.classifier = nn.ReLU6(), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 5)."""
        x = self.stem(x)
        x = self.relu6(x + self.pointwise(self.hardswish(self.depthwise(x))))
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


def trained(*, backend: str = "qnnpack", observing: bool = False, seen: int = 6) -> Any:
    """Of quantization-aware training, in eval mode; "x86" has maps of 7 bits, "qnnpack" weights by tensor."""
    torch.manual_seed(1)
    mapping = ao.get_default_qat_qconfig_mapping(backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = quantize_fx.prepare_qat_fx(Net().train(), mapping, (torch.zeros(SHAPE),))
    for image in images(seen, SHAPE):
        module(torch.cat([image, image.flip(3)]))
    return (module if observing else module.apply(ao.disable_observer)).eval()


def quantized(form: str, folder: Path, *, backend: str = "x86") -> tuple[zoo.Model, nn.Module]:
    """The network in one of `FORMS`, and what it computes by itself."""
    module: Any = trained(backend=backend)
    example = torch.zeros(SHAPE)
    kind, _, suffix = form.partition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "converted":
            module = quantize_fx.convert_fx(copy.deepcopy(module))
        if kind == "pairs":
            module = quantize_fx._convert_to_reference_decomposed_fx(copy.deepcopy(module))
        if not suffix:
            return model_of(copy.deepcopy(module), SHAPE), module
        path = folder / f"net.{suffix}"
        if suffix == "pt2":
            torch.export.save(torch.export.export(copy.deepcopy(module), (example,)), path)
        else:
            script: Any = torch.jit.script(copy.deepcopy(module))
            torch.jit.save(script, path)
    return zoo.load(str(path), input_shape=SHAPE if suffix == "pt" else None), module
