# SPDX-License-Identifier: Apache-2.0
"""How a checkpoint file gets into a module, and which values a module has.

Takes a module and a .pth or .safetensors file; fills it, and says with what.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import Tensor, nn

from mnc.model import checkpoint
from mnc.support.errors import UserError


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
