# SPDX-License-Identifier: Apache-2.0
"""The outputs of a network as a row of tensors, whatever it returns: a tensor, a tuple, a dict of tuples.

Takes what a module gives; gives its tensors, in the order in which the network lists them.
"""

from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree


def tensors_of(value: object) -> tuple[Tensor, ...]:
    """The tensors in `value`; TypeError when it holds something else, or nothing."""
    leaves = [leaf for leaf in _pytree.tree_leaves(value) if leaf is not None]
    if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
        kinds = {type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)}
        raise TypeError(
            f"it gives {', '.join(sorted(kinds)) or 'nothing'} where tensors are wanted"
        )
    return tuple(leaves)


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
