# SPDX-License-Identifier: Apache-2.0
"""Networks that are not ours: a factory function, a TorchScript file, an exported program.

Takes ``package.module:function``, ``file.pt`` or ``file.pt2`` and the shapes of its inputs; gives the module
and its inputs. All three run code of whoever wrote them; load only what you trust.
"""

import contextlib
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mnc.model import outputs
from mnc.model.inputs import Input, InputShapes, Shape, resolve, signature
from mnc.model.precision import in_float32
from mnc.model.quantization import decomposed, fake_quantized
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
    bare = Path(spec).stem if FACTORY.fullmatch(spec) is None else spec
    return re.sub(r"[^A-Za-z0-9._-]+", "_", bare).lstrip(".") or "model"


def load(
    spec: str, *, input_shape: InputShapes | None, batch: int
) -> tuple[nn.Module, tuple[Input, ...]]:
    """The module in eval mode, and its inputs with `batch` as N unless that is 1.

    UserError when it cannot be loaded, needs `input_shape` and has none, or does not run on it.
    """
    suffix = Path(spec).suffix
    known: tuple[Shape, ...] = ()
    if suffix == ".pt2":
        module, known = _exported(Path(spec))
    else:
        module = _torchscript(Path(spec)) if suffix == ".pt" else _factory(spec)
        module = module.eval()
    module = fake_quantized.settled(in_float32(module))
    shapes = input_shape or known
    if not shapes:
        raise UserError(f"{spec} does not say its input shape; give --input-shape 1,3,224,224")
    taken = resolve(spec, shapes, signature(module))
    if batch != 1:
        taken = tuple(replace(one, shape=(batch, *one.shape[1:])) for one in taken)
    _check_runs(spec, module, taken)
    return module, taken


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


def _exported(path: Path) -> tuple[nn.Module, tuple[Shape, ...]]:
    _must_exist(path)
    decomposed.register()
    try:
        with _quiet(), _plain_data_only():
            program = torch.export.load(path)
    except Exception as error:
        reason = error_text.of_exception(error)
        raise UserError(
            f"{path} is not an exported program ({reason}); save it with torch.export.save"
        ) from error
    module: nn.Module = program.module()
    values, named = program.example_inputs or ((), {})
    if named:
        by_keyword = _by_keyword(tuple(named))
        module.register_forward_pre_hook(by_keyword, with_kwargs=True, prepend=True)
    try:
        return module, tuple(tuple(value.shape) for value in (*values, *named.values()))
    except AttributeError:
        raise UserError(
            f"{path} takes lists, dicts or numbers; export it with tensors alone as its inputs"
        ) from None


def _by_keyword(names: tuple[str, ...]) -> Callable[..., Any]:
    """A hook that gives the last inputs by their names, as the program was exported with."""

    def call(_: nn.Module, values: tuple[Any, ...], __: dict[str, Any]) -> Any:
        plain = len(values) - len(names)
        return values[:plain], dict(zip(names, values[plain:], strict=True))

    return call


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


def _check_runs(spec: str, module: nn.Module, inputs: tuple[Input, ...]) -> None:
    try:
        with torch.no_grad():
            output = module(*(torch.zeros(one.shape) for one in inputs))
    except Exception as error:
        shown = " and ".join("x".join(map(str, one.shape)) for one in inputs)
        reason = error_text.of_exception(error)
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
