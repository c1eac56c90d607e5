# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files as trainers write them: where in one the weights lie, and under which names.

Takes a .pth or .safetensors file; gives its state dict in float32 and what there is to say of it.
Nothing in a file is executed.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnc.model import checkpoint_file
from mnc.support.errors import UserError

# Words in keys, and in the first part of names, of weights averaged over a training.
AVERAGED = {
    "ema": "EMA",
    "swa": "averaged",
    "averaged": "averaged",
    "average": "averaged",
}
# Where trainers keep the state dict: of several, the first that there is.
TRAINED = ("state_dict", "model_state_dict", "model", "net", "params", "weights", "module")
DEEPEST = 4  # such keys within one another
# What DataParallel, Lightning and networks around networks put before every name; what torch's own wrappers
# do stands anywhere in a name.
PREFIXES = ("module.", "model.", "net.", "backbone.", "encoder.")
WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
# Buffers that say nothing about the answer: BN's counter, a profiler's, those of averaged models.
COUNTERS = ("num_batches_tracked", "total_ops", "total_params", "n_averaged")


@dataclass(frozen=True)
class Checkpoint:
    """A file's tensors, floating ones as float32, by their names there; `remarks` are for the user."""

    state: dict[str, Tensor]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    state: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """Without wrappers and counters."""
        return {[*names_of(name)][-1] for name in self.state if not is_counter(name)}


def read(path: Path) -> Checkpoint:
    """The checkpoint at `path`. UserError for a missing file, one that is no checkpoint, one that needs
    code to be loaded, and one without a state dict, or with several that none of is known to be meant.
    """
    found = _find(checkpoint_file.content(path), path, depth=DEEPEST)
    if found is None:
        raise UserError(f"{path} holds no state dict (names to tensors); save module.state_dict()")
    found = _averaged_part(found)
    state = {
        name: _dense(value) for name, value in found.state.items() if isinstance(value, Tensor)
    }
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    kinds = sorted({str(one.dtype).removeprefix("torch.") for one in floats.values()} - {"float32"})
    narrow = (f"{' and '.join(kinds)} values, made float32",) if kinds else ()
    state |= {name: value.float() for name, value in floats.items()}
    return Checkpoint(state=state, remarks=(*found.remarks, *narrow))


def shared_prefix(names: Iterable[str]) -> str:
    """The modules, with their points, that all names of a state dict begin with."""
    parts = [name.split(".")[:-1] for name in names if not is_counter(name)]
    shared = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*parts, strict=False))
    return "".join(f"{level[0]}." for level in shared)


def names_of(name: str) -> Iterator[str]:
    """`name`, then what is left of it as wrappers' prefixes are taken off, the outermost first."""
    yield name
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    yield name
    while prefix := next(filter(name.startswith, PREFIXES), None):
        name = name.removeprefix(prefix)
        yield name


def is_counter(name: str) -> bool:
    """Whether a state dict's entry says nothing about what the network answers."""
    return name.rpartition(".")[2] in COUNTERS


def _dense(value: Tensor) -> Tensor:
    return value if value.layout == torch.strided else value.to_dense()


def _find(content: Any, path: Path, *, depth: int) -> _Found | None:
    """The state dict that `content` is, or has under one of its keys; averaged weights first."""
    if not isinstance(content, Mapping) or not depth:
        return None
    if _is_state(content):
        return _Found(content)
    found = {
        key: one
        for key, value in content.items()
        if isinstance(key, str) and (one := _under(key, value, path, depth=depth - 1)) is not None
    }
    if not found:
        return None
    taken, *others = sorted(found, key=_rank)  # sorting keeps the file's order
    if others and _rank(taken) == _rank(others[0]) == len(TRAINED):
        raise UserError(
            f"{path} holds several state dicts ({', '.join(found)}); save the one that is meant"
        )
    return _taken(found, taken)


def _under(key: str, value: Any, path: Path, *, depth: int) -> _Found | None:
    """What is under a key: of somebody's own, a state dict or nothing."""
    if _rank(key) < len(TRAINED):
        return _find(value, path, depth=depth)
    return _Found(value) if isinstance(value, Mapping) and _is_state(value) else None


def _rank(key: str) -> int:
    """Averaged weights come first, what nobody else calls weights last."""
    if _average(key):
        return -1
    return TRAINED.index(key) if key in TRAINED else len(TRAINED)


def _taken(found: Mapping[str, _Found], key: str) -> _Found:
    """What is under `key`, and which of several that is."""
    kind, one = _average(key), found[key]
    others = (other for other in found if not _average(other) and found[other].names & one.names)
    other = next((other for other in others if other != key), None)
    if kind:
        unlike = f", not the raw ones in {other!r}" if other else ""
        return _Found(one.state, (f"the {kind} weights in {key!r}{unlike}",))
    if other:
        return replace(
            one, remarks=(*one.remarks, f"the weights in {key!r}, not those in {other!r}")
        )
    return one if key in TRAINED else _Found(one.state, (f"the weights in {key!r}",))


def _average(key: str) -> str:
    """What average a key or a name's first part speaks of, "" for none."""
    words = re.split(r"[^a-z]+", key.lower())
    return next((AVERAGED[word] for word in words if word in AVERAGED), "")


def _averaged_part(found: _Found) -> _Found:
    """Of a network's raw and averaged weights side by side, as `model.` and `model_ema.`, the averaged."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in found.state.items():
        first, dot, rest = name.partition(".")
        if dot and not is_counter(rest):
            parts.setdefault(first, {})[rest] = value
    sides = {first: _Found(part) for first, part in parts.items()}
    for first in filter(_average, sides):
        names = sides[first].names
        for other in sides.keys() - {first}:
            if names and names <= sides[other].names:
                words = f"the {_average(first)} weights in {first!r}, not the raw ones in {other!r}"
                return _Found(sides[first].state, (*found.remarks, words))
    return found


def _is_state(content: Mapping[Any, Any]) -> bool:
    """Names to tensors, among which an epoch, an accuracy or the network's name may stand."""
    beside = Tensor | int | float | str | np.generic | None
    return all(
        isinstance(name, str) and isinstance(value, beside) for name, value in content.items()
    ) and any(isinstance(value, Tensor) and value.ndim for value in content.values())
