# SPDX-License-Identifier: Apache-2.0
"""Networks that are not ours: a factory function, a TorchScript file, an exported program.

Takes ``package.module:function``, ``file.pt`` or ``file.pt2`` and the input shape; gives the module
and the shape. All three run code of whoever wrote them; load only what you trust.
"""

import contextlib
import importlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from mnc.model import outputs
from mnc.support import error_text
from mnc.support.environment import variables
from mnc.support.errors import UserError

SUFFIXES = (".pt", ".pt2")
FACTORY = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_foreign(spec: str) -> bool:
    """True for ``package.module:function`` and for the paths of .pt and .pt2 files."""
    return Path(spec).suffix in SUFFIXES or FACTORY.fullmatch(spec) is not None


def safe_name(spec: str) -> str:
    """A name for folders: ``my.nets:tiny`` gives ``my.nets_tiny``, ``a/b c.pt`` gives ``b_c``."""
    bare = Path(spec).stem if Path(spec).suffix in SUFFIXES else spec
    return re.sub(r"[^A-Za-z0-9._-]+", "_", bare).lstrip(".") or "model"


def load(
    spec: str, *, input_shape: tuple[int, ...] | None, batch: int
) -> tuple[nn.Module, tuple[int, ...]]:
    """The module in eval mode, and its input shape with `batch` as N unless that is 1.

    UserError when it cannot be loaded, needs `input_shape` and has none, or does not run on it.
    """
    suffix = Path(spec).suffix
    known: tuple[int, ...] | None = None
    if suffix == ".pt2":
        module, known = _exported(Path(spec))
    else:
        module = _torchscript(Path(spec)) if suffix == ".pt" else _factory(spec)
        module = module.eval().float()
    shape = input_shape or known
    if shape is None:
        raise UserError(f"{spec} does not say its input shape; give --input-shape 1,3,224,224")
    shape = (batch, *shape[1:]) if batch != 1 else shape
    _check_runs(spec, module, shape)
    return module, shape


def _factory(spec: str) -> nn.Module:
    place, name = spec.split(":")
    with _current_directory_importable():
        try:
            made = getattr(importlib.import_module(place), name)()
        except Exception as error:  # the person's own code may raise anything
            raise UserError(f"{spec} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise UserError(f"{spec} returned {type(made).__name__}; it must return an nn.Module")
    return made


@contextlib.contextmanager
def _current_directory_importable() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _torchscript(path: Path) -> nn.Module:
    _must_exist(path)
    try:
        with _quiet():
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                path, map_location="cpu"
            )
    except Exception as error:
        reason = error_text.of_exception(error)
        raise UserError(
            f"{path} is not a TorchScript file ({reason}); save it with torch.jit.save, or give a"
            " state dict to --weights"
        ) from error
    return module


def _exported(path: Path) -> tuple[nn.Module, tuple[int, ...] | None]:
    _must_exist(path)
    try:
        with _quiet(), _plain_data_only():
            program = torch.export.load(path)
    except Exception as error:
        reason = error_text.of_exception(error)
        raise UserError(
            f"{path} is not an exported program ({reason}); save it with torch.export.save"
        ) from error
    example = program.example_inputs
    shapes = [tuple(value.shape) for value in example[0]] if example else []
    return program.module(), shapes[0] if len(shapes) == 1 else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes to its developers, such as that TorchScript is deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _plain_data_only() -> contextlib.AbstractContextManager[None]:
    """torch.export.load unpickles some parts without asking; this makes every torch.load refuse
    pickles that hold more than plain data."""
    return variables(TORCH_FORCE_WEIGHTS_ONLY_LOAD="1")


def _check_runs(spec: str, module: nn.Module, shape: tuple[int, ...]) -> None:
    try:
        with torch.no_grad():
            output = module(torch.zeros(shape))
    except Exception as error:
        shown, reason = "x".join(str(part) for part in shape), error_text.of_exception(error)
        raise UserError(
            f"{spec} does not run on an input of {shown} ({reason}); {advice(reason)}"
        ) from error
    try:
        outputs.tensors_of(output)
    except TypeError as error:
        raise UserError(f"{spec} cannot be compiled: {error}") from error


def advice(reason: str) -> str:
    """What to do where PyTorch itself cannot run a network, for the reason that it gives."""
    if re.search(r"\b(size|shape|channel|dimension)", reason):
        return "check --input-shape"
    return "it fails in PyTorch itself: mend the network first"


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"no model file at {path}; check the path")
