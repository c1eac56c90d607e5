# SPDX-License-Identifier: Apache-2.0
"""What goes into a network: its tensors by name and shape, in the order in which it is called with them.

Takes a module and the shapes that a person gave, in order or by name; gives `Input`s.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mnc.support.errors import UserError

Shape = tuple[int, ...]
InputShapes = Shape | Sequence[Shape] | Mapping[str, Shape]
ONLY = "input"  # the name of a network's only input, whatever its own code calls it


@dataclass(frozen=True)
class Input:
    """A float32 tensor that a network takes. `name` is its own code's where there are several."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Signature:
    """The names of what a network is called with, in order; the first `needed` it cannot do without."""

    names: tuple[str, ...]
    needed: int
    takes_more: bool = False

    def first(self, count: int) -> tuple[str, ...]:
        """The names of that many inputs; fewer where it does not take so many."""
        more = range(len(self.names), count) if self.takes_more else ()
        return (*self.names, *(f"input{number}" for number in more))[:count]


def signature(module: nn.Module) -> Signature:
    """What `module` is called with."""
    if isinstance(module, torch.jit.ScriptModule):
        arguments = arguments_of(module)
        names = tuple(one.name for one in arguments)
        return Signature(names, sum(not one.has_default_value() for one in arguments))
    parameters = inspect.signature(module.forward).parameters.values()
    plain = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    return Signature(
        names=tuple(one.name for one in plain),
        needed=sum(one.default is one.empty for one in plain),
        takes_more=any(one.kind is one.VAR_POSITIONAL for one in parameters),
    )


def arguments_of(module: torch.jit.ScriptModule) -> list[Any]:
    """What TorchScript calls the network with, as its schema describes it."""
    schema: Any = module.forward.schema  # type: ignore[attr-defined]
    return list(schema.arguments[1:])


def shapes_of(given: InputShapes) -> tuple[Shape, ...]:
    """The shapes, be they one, several or several by name."""
    if isinstance(given, Mapping):
        return tuple(given.values())
    shapes = [part for part in given if not isinstance(part, int)]
    return tuple(shapes) or (tuple(part for part in given if isinstance(part, int)),)


def resolve(spec: str, given: InputShapes, takes: Signature) -> tuple[Input, ...]:
    """The inputs of the network that `spec` names, in calling order. UserError where the shapes are not as
    many as it takes, or have other names.
    """
    shapes = shapes_of(given)
    names = takes.first(len(shapes))
    is_whole = takes.needed <= len(shapes) == len(names)
    if not is_whole or (isinstance(given, Mapping) and set(given) != set(names)):
        raise UserError(f"{spec} {_taken(takes)}")
    if isinstance(given, Mapping):
        shapes = tuple(given[name] for name in names)
    if len(shapes) == 1:
        return (Input(ONLY, shapes[0]),)
    return tuple(Input(name, shape) for name, shape in zip(names, shapes, strict=True))


def _taken(takes: Signature) -> str:
    """What it takes, and how to say so."""
    wanted = takes.first(max(takes.needed, 1))
    what = (
        f"{len(wanted)} inputs, {', '.join(wanted)}"
        if len(wanted) > 1
        else f"an input, {wanted[0]}"
    )
    optional = ", ".join(takes.names[len(wanted) :])
    more = f", and may take {optional}" if optional else ""
    how = (
        f"--input-shape {wanted[0]}=N,C,H,W and so on"
        if len(wanted) > 1
        else "--input-shape N,C,H,W"
    )
    return f"takes {what}{more}: give the shape of each, as in {how}"
