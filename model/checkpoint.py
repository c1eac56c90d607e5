# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files as trainers write them: where in one the weights lie, and under which names.

Takes a .pth or .safetensors file; gives its state dict in float32 and what there is to say of it.
Nothing in a file is executed.
"""

import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from mnc.support import error_text
from mnc.support.errors import UserError

# Where trainers keep the state dict: of several, the first that there is.
AVERAGED = (
    "state_dict_ema",
    "model_ema",
    "model_ema_state_dict",
    "ema_state_dict",
    "params_ema",
    "ema",
)
TRAINED = ("state_dict", "model_state_dict", "model", "net", "params", "weights", "module")
DEEPEST = 4  # such keys within one another
# What DataParallel, Lightning and networks around networks put before every name; torch.compile's
# stands anywhere in a name.
PREFIXES = ("module.", "model.", "net.", "backbone.", "encoder.")
COMPILED = "_orig_mod."
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


def read(path: Path) -> Checkpoint:
    """The checkpoint at `path`. UserError for a missing file, one that is no checkpoint, one that needs
    code to be loaded, and one without a state dict.
    """
    found = _find(_content(path), depth=DEEPEST)
    if found is None:
        raise UserError(f"{path} holds no state dict (names to tensors); save module.state_dict()")
    state = {name: value for name, value in found.state.items() if isinstance(value, Tensor)}
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    kinds = sorted({str(one.dtype).removeprefix("torch.") for one in floats.values()} - {"float32"})
    narrow = (f"{' and '.join(kinds)} values, made float32",) if kinds else ()
    state |= {name: value.float() for name, value in floats.items()}
    return Checkpoint(state=state, remarks=(*found.remarks, *narrow))


def names_of(name: str) -> Iterator[str]:
    """`name`, then what is left of it as wrappers' prefixes are taken off, the outermost first."""
    yield name
    name = name.replace(COMPILED, "")
    yield name
    while prefix := next(filter(name.startswith, PREFIXES), None):
        name = name.removeprefix(prefix)
        yield name


def is_counter(name: str) -> bool:
    """Whether a state dict's entry says nothing about what the network answers."""
    return name.rpartition(".")[2] in COUNTERS


def _content(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"no weights file at {path}; check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_values()):
            warnings.simplefilter("ignore")  # of pickle protocols; what matters raises
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a plain checkpoint (loading it would run code, or it is damaged);"
            " save it as torch.save(module.state_dict(), path) or as .safetensors"
        ) from error
    except Exception as error:  # damaged zip, header or pickle: the readers raise many types
        raise UserError(
            f"{path} is not a checkpoint ({error_text.of_exception(error)}); give a .pth or .safetensors"
        ) from error


def _numpy_values() -> list[Any]:
    """What a pickle needs for numpy's scalars and arrays (an accuracy, a curve), by its names in numpy 1
    and 2. Making such a value runs no code of the file's.
    """
    makers: dict[str, Any] = {
        "scalar": np.float64(0).__reduce__()[0],
        "_reconstruct": np.empty(0).__reduce__()[0],
    }
    named = [
        (maker, f"numpy.{home}.multiarray.{name}")
        for name, maker in makers.items()
        for home in ("core", "_core")
    ]
    kinds = {type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"}
    return [*named, np.ndarray, np.dtype, *kinds]


def _find(content: Any, *, depth: int) -> _Found | None:
    """The state dict that `content` is, or has under one of the known keys; averaged weights first."""
    if not isinstance(content, Mapping) or not depth:
        return None
    if _is_state(content):
        return _Found(content)
    inner = {key: _find(content.get(key), depth=depth - 1) for key in (*AVERAGED, *TRAINED)}
    found = {key: one for key, one in inner.items() if one is not None}
    if not found:
        return _only(content)
    key = next(iter(found))
    if key not in AVERAGED:
        return found[key]
    trained = next((f", not the raw ones in {other!r}" for other in TRAINED if other in found), "")
    return _Found(found[key].state, (f"the EMA weights in {key!r}{trained}",))


def _only(content: Mapping[Any, Any]) -> _Found | None:
    """The one state dict that there is under a key of somebody's own."""
    states = {
        key: value
        for key, value in content.items()
        if isinstance(value, Mapping) and _is_state(value)
    }
    if len(states) != 1:
        return None
    ((key, state),) = states.items()
    return _Found(state, (f"the weights in {key!r}",))


def _is_state(content: Mapping[Any, Any]) -> bool:
    """Names to tensors, among which an epoch, an accuracy or the network's name may stand."""
    beside = Tensor | int | float | str | np.generic | None
    return all(
        isinstance(name, str) and isinstance(value, beside) for name, value in content.items()
    ) and any(isinstance(value, Tensor) and value.ndim for value in content.values())
