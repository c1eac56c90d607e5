# SPDX-License-Identifier: Apache-2.0
"""Writing into part of a tensor, which a trace does not carry on to the whole.

Takes a trace; gives the places where a network writes through a view (``x[:, 0] = y``) and then reads what it
is a view of. There the importer would go on with the old values.
"""

import re
from collections.abc import Iterator
from typing import Any

import torch

_NAMES = (
    "alias chunk detach diagonal expand expand_as flatten narrow permute reshape select slice split "
    "split_with_sizes squeeze swapaxes t transpose unbind unflatten unfold unsqueeze view view_as"
)
VIEWS = frozenset(f"aten::{name}" for name in _NAMES.split()) | {"prim::ListUnpack"}
WRITES = re.compile(r"aten::[a-z]\w*[a-z0-9]_")  # add_, copy_, index_put_, relu_: not __and__


def lost_writes(traced: torch.jit.ScriptModule) -> list[str]:
    """Where they are: "operator (file:line)"."""
    order = _Order(traced.inlined_graph)
    return [
        place_of(node)
        for node in traced.inlined_graph.nodes()
        if WRITES.fullmatch(node.kind())
        and any(order.reads_after(node, value) for value in order.aliases(node))
    ]


class _Order:
    """When the nodes of a graph run."""

    def __init__(self, graph: Any) -> None:
        places = enumerate(graph.nodes())
        self._places = {one.debugName(): place for place, node in places for one in node.outputs()}

    def reads_after(self, write: Any, value: Any) -> bool:
        """Whether more than a view is made of `value` after `write`."""
        users = [use.user for use in value.uses()]
        return any(
            self._when(write) < self._when(user) for user in users if user.kind() not in VIEWS
        )

    def aliases(self, write: Any) -> Iterator[Any]:
        """What else shows what is written: all that it is a view of, and the views of it that there are."""
        written = next(write.inputs())
        node = written.node()
        while node.kind() in VIEWS:
            base = next(node.inputs())
            yield base
            node = base.node()
        below = [written]
        while below:
            for user in (use.user for use in below.pop().uses() if use.offset == 0):
                if user.kind() in VIEWS and self._when(user) < self._when(write):
                    below += user.outputs()
                    yield from user.outputs()

    def _when(self, node: Any) -> int:
        outputs = list(node.outputs())
        return (
            self._places[outputs[0].debugName()] if outputs else len(self._places)
        )  # the graph's end


def place_of(node: Any) -> str:
    """The operator of a trace's node, and where it is called: "operator (file:line)"."""
    place = re.search(r"([^\s\"():]+\.py)(?:\", line |[(:])(\d+)", node.sourceRange())
    name = node.kind().removeprefix("aten::")
    return f"{name} ({place[1]}:{place[2]})" if place else name
