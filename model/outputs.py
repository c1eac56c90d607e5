# SPDX-License-Identifier: Apache-2.0
"""The outputs of a network as a row of tensors, whatever it returns: a tensor, a tuple, a dict of tuples, a
dataclass.

Takes what a module gives; gives its tensors, in the order in which the network lists them.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree


def tensors_of(value: object) -> tuple[Tensor, ...]:
    """The tensors in `value`; TypeError when it holds something else, or nothing."""
    leaves = [leaf for leaf in _leaves(value) if leaf is not None]
    tensors = tuple(leaf for leaf in leaves if isinstance(leaf, Tensor))
    if not leaves or len(tensors) < len(leaves):
        kinds = {type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)}
        raise TypeError(
            f"it gives {', '.join(sorted(kinds)) or 'nothing'} where tensors are wanted"
        )
    return tensors


def _leaves(value: object) -> Iterator[object]:
    """Of classes of somebody's own too, which torch's walk takes for leaves."""
    for leaf in _pytree.tree_leaves(value):
        inside = _inside(leaf)
        if inside is None:
            yield leaf
        else:
            yield from _leaves(inside)


def _inside(value: object) -> list[object] | None:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None


class FlatOutputs(nn.Module):
    """`module`, giving one tensor or a tuple of them, each worked out by an operator: the importer knows no
    output that is a weight or the input itself.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        """As the module, flat."""
        given = {id(one) for one in (*inputs, *self.module.parameters(), *self.module.buffers())}
        flat = tuple(
            one.clone() if id(one) in given else one for one in tensors_of(self.module(*inputs))
        )
        return flat[0] if len(flat) == 1 else flat
