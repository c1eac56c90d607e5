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
    state, others = _by_own_names(read.state, own, aliases or {})
    missing = [name for name in own if name not in state and not checkpoint.is_counter(name)]
    beside = () if missing else _beside(read.state, others)
    wrong = [] if beside else [f"{name} {why}" for name, why in others.items()]
    lacks = () if wrong else _lacking(own, missing)
    problems = [
        *([] if lacks else [f"{name} is missing" for name in missing]),
        *wrong,
        *(_misfit(name, tensor, own[name]) for name, tensor in state.items()),
    ]
    problems = [one for one in problems if one]
    if problems:
        shown = "; ".join(problems[:3])
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise UserError(
            f"{path} does not fit this network: {shown}{more}; choose the model it is of"
        )
    module.load_state_dict(state, strict=False)
    kept = (f"lacks {', '.join(lacks)}: initial values there",) if lacks else ()
    unread = (f"not {', '.join(beside[:3])}, which are no part of it",) if beside else ()
    remarks = "; ".join((*read.remarks, *kept, *unread))
    return Loaded(words=f"{path} ({remarks})" if remarks else str(path), lacks=lacks)


def read_state(path: Path) -> dict[str, Tensor]:
    """The name to tensor mapping of a checkpoint file, without any wrapper's prefixes; as
    `checkpoint.read`.
    """
    state = checkpoint.read(path).state
    return {[*checkpoint.names_of(name)][-1]: value for name, value in state.items()}


def _by_own_names(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], aliases: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors that are `own`'s, under its names, and what is wrong with the others."""
    fitting: dict[str, Tensor] = {}
    others: dict[str, str] = {}
    shared = checkpoint.shared_prefix(state)
    for name, tensor in state.items():
        names = [*checkpoint.names_of(name), *checkpoint.names_of(name.removeprefix(shared))]
        ours = next((one for one in (aliases.get(n, n) for n in names) if one in own), None)
        if ours in fitting:
            others[name] = f"is in it twice, as {ours}"
        elif ours is not None:
            fitting[ours] = tensor
        elif not checkpoint.is_counter(name):
            others[name] = "is not in this network"
    return fitting, others


def _beside(state: Mapping[str, Tensor], others: Mapping[str, str]) -> tuple[str, ...]:
    """The names of what a trainer's module holds beside the network, as a loss's weights; () where any of
    `others` stands within it.
    """
    prefix = checkpoint.shared_prefix(name for name in state if name not in others)
    within = any(name.startswith(prefix) for name in others)
    return () if within else tuple(others)


def _misfit(name: str, given: Tensor, own: Tensor) -> str:
    """What keeps a tensor from standing for one of the network's, "" where nothing does."""
    if given.shape != own.shape:
        return f"{name} is {tuple(given.shape)}, not {tuple(own.shape)}"
    if own.is_floating_point() and not given.is_floating_point():
        return f"{name} is {str(given.dtype).removeprefix('torch.')}, not floating point"
    return ""


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
