# SPDX-License-Identifier: Apache-2.0
"""The exact reference: a network with markers run in integers, with the bits that every target gives.

Takes a `GraphModule` of ATen calls with the markers of `operators`; gives a function of arrays. Chains
between markers follow the rules of docs/int8.md (`integers`); all else runs in PyTorch's float32.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree

from mnc.model.quantization import kinds
from mnc.model.quantization.integers import (
    Clamped,
    Concatenation,
    Function,
    Mean,
    Product,
    Stored,
    Sum,
    Sums,
    identity,
    layer,
    stored,
)
from mnc.model.reference import Reference
from mnc.model.torch_run import torch_reference

SELECTING = {"relu", "relu6", "clamp", "hardtanh", "cat", "stack", "maximum", "minimum"}
FUNCTIONS = kinds.ELEMENTWISE | kinds.BINARY | {"pow"}
PENDING = (Clamped, Sums, Sum, Product, Mean, Function, Concatenation)
CUT = (Clamped, Sums, Sum, Product, Mean)  # what a clamp after it is a part of


class _Weights(tuple[Tensor, Tensor]):
    """A layer's int8 weights and their scales."""


def exact_reference(module: nn.Module) -> Reference:
    """`module` as a function of float32 arrays. TypeError for one that `quantize` has not made."""
    if not isinstance(module, fx.GraphModule):
        raise TypeError("the integer reference runs fx graphs, as `quantize` makes them")
    run = torch_reference(Integers(module).run)
    return Reference("integer reference", run.run)


class Integers(fx.Interpreter):
    """Runs the graph with values that are tensors, `Stored`, or on their way to it."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operator, by the rule that its inputs allow; in float32 where none does."""
        name = kinds.name_of(target)
        made = self._marked(name, args) if getattr(target, "namespace", "") == "mnc" else None
        if made is None:
            made = _ruled(name, target, args, kwargs)
        return self.in_float32(target, args, kwargs) if made is None else made

    def in_float32(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What no rule is for."""
        args, kwargs = _pytree.tree_map(_real, (args, kwargs), is_leaf=_is_value)
        return target(*args, **kwargs)

    def output(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """In float32."""
        return _pytree.tree_map(_real, args[0], is_leaf=_is_value)

    def _marked(self, name: str, args: tuple[Any, ...]) -> Any:
        if name == "quantized_weight":
            return _Weights(args)
        x, scale, zero_point = args
        scale = float(torch.tensor(scale, dtype=torch.float32))
        if isinstance(x, Tensor):
            return stored(x, scale, zero_point)
        return x.store(scale, zero_point)


class _Watching(Integers):
    """Sees whether something is computed in float32."""

    floats = False

    def in_float32(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Noted, but for what only moves or compares values."""
        self.floats |= kinds.name_of(target) not in kinds.MOVES | SELECTING
        return super().in_float32(target, args, kwargs)


def is_exact(module: nn.Module, shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether all of `module` is in integers up to its outputs, for inputs of `shapes`: then every CPU gives
    the same bits. What float32 there is rounds as each may. TypeError as `exact_reference` has it.
    """
    if not isinstance(module, fx.GraphModule):
        raise TypeError("the integer reference runs fx graphs, as `quantize` makes them")
    watching = _Watching(module)
    with torch.no_grad():
        watching.run(*map(torch.zeros, shapes))
    return not watching.floats


def _ruled(name: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """By an integer rule; None where none is for these inputs."""
    first, second = (*args, None, None)[:2]
    cut = kinds.bounds_of(name, args[1:])
    made: Any = None
    if isinstance(second, _Weights):
        made = _layer(target, args, kwargs) if isinstance(first, Stored) else None
    elif isinstance(first, Stored) and isinstance(second, Stored) and first is not second:
        made = _of_two(name, first, second, kwargs)
    elif name == "add" and _is_convolution_and_map(first, second, kwargs):
        made = Sum(first, second)
    elif cut is not None and isinstance(first, CUT):
        made = Clamped(first, *cut)
    elif name in FUNCTIONS:
        made = _function(target, args, kwargs)
    elif name in {"cat", "concat", "stack"} and all(isinstance(one, Stored) for one in args[0]):
        made = Concatenation(tuple(args[0]), lambda parts: target(parts, *args[1:], **kwargs))
    elif isinstance(first, Stored):
        made = _of_one(name, target, args, kwargs)
    return made


def _of_two(name: str, left: Stored, right: Stored, kwargs: dict[str, Any]) -> Sum | Product | None:
    if name == "add" and kwargs.get("alpha", 1) == 1 and left.q.shape == right.q.shape:
        return Sum(left, right)
    return Product(left, right) if name == "mul" else None


def _is_convolution_and_map(left: Any, right: Any, kwargs: dict[str, Any]) -> bool:
    """Whether these are to be added, in either order; a convolution's bounds would come before the sum."""
    if isinstance(left, Stored):
        left, right = right, left
    kinds_fit = isinstance(left, Sums) and isinstance(right, Stored) and left.sums.dim() == 4
    return kinds_fit and left.sums.shape == right.q.shape and kwargs.get("alpha", 1) == 1


def _of_one(name: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A mean of whole maps, or what only moves values and fills with zeros."""
    x: Stored = args[0]
    if kinds.is_whole_mean(name, args[1:]) and x.q.dim() == 4:
        return _mean(target, args, kwargs)
    if name in kinds.MOVES or kinds.is_zero_pad(name, args[2:]):
        moved = target(x.steps, *args[1:], **kwargs)
        return _pytree.tree_map(
            lambda one: Stored(one + x.zero_point, x.scale, x.zero_point), moved
        )
    return None


def _layer(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
    x, weights, bias, *options = (*args, None) if len(args) == 2 else args
    values, scale = weights
    return layer(x, values, scale, bias, lambda of, by: target(of, by, None, *options, **kwargs))


def _mean(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mean:
    x = args[0]
    count = x.q.shape[2] * x.q.shape[3]
    mean = target(x.steps, *args[1:], **kwargs)
    return Mean(x.steps.double().sum((2, 3)).reshape(mean.shape), x.scale, count)


def _function(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Function | None:
    """Of one map, with numbers besides."""
    if any(isinstance(one, Tensor) for one in args):
        return None
    reads = [one for one in args if isinstance(one, Stored | Function)]
    maps = {id(one.of) if isinstance(one, Function) else id(one) for one in reads}
    if len(maps) != 1 or any(isinstance(one, PENDING) and one not in reads for one in args):
        return None
    inner = [identity(one) if isinstance(one, Stored) else one for one in args]
    of = next(one.of for one in inner if isinstance(one, Function))
    exact = target(*(one.exact if isinstance(one, Function) else one for one in inner), **kwargs)

    def plain() -> Tensor:
        given = (one.real() if isinstance(one, Function) else one for one in inner)
        result: Tensor = target(*given, **kwargs)
        return result

    return Function(of, exact, plain)


def _is_value(one: Any) -> bool:
    return isinstance(one, (Stored, _Weights, *PENDING))


def _real(one: Any) -> Any:
    if isinstance(one, _Weights):
        values, scale = one
        return torch.ops.mnc.quantized_weight(values, scale)
    return one.real() if _is_value(one) else one
