# SPDX-License-Identifier: Apache-2.0
"""Finds networks that decide by their data (`if x.mean() > 0`, `x[x > 0]`): a trace would take one way, and
one size, for all inputs.

Takes a module, examples of its inputs and what tracing warned of, or the trace; raises a UserError that names
the line.
"""

import linecache
import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, jit, nn

from mnc.model.mutation import place_of
from mnc.support.errors import UserError

# Operators whose result is as large as the data have it.
_SIZED_BY_DATA = frozenset(
    f"aten::{name}"
    for name in "argwhere bincount masked_select nonzero nonzero_numpy unique unique_consecutive "
    "unique_dim _unique _unique2".split()
)

# How torch's tracer warns of a value that leaves the tensors; of sizes, which are settled, as well.
_LEAVES = ("Converting a tensor to a Python", "Iterating over a tensor")


def check(
    module: nn.Module, examples: tuple[Tensor, ...], places: Sequence[str], *, name: str
) -> None:
    """UserError, naming the first of `places` where the network may decide, when it does so by its data:
    sizes are settled.
    """
    if places and _depends_on_data(module, examples):
        raise UserError(
            f"{name} decides by its data, in {places[0]}: compiled, it would take one way for all inputs; "
            "say it with torch.where, or compile the ways apart"
        )


def check_sizes(traced: jit.ScriptModule, *, name: str) -> None:
    """UserError, naming the operators whose result is as large as the data have it."""
    found = {place_of(node) for node in traced.inlined_graph.nodes() if _sized_by_data(node)}
    if found:
        raise UserError(
            f"{name} decides by its data how much it gives, in {', '.join(sorted(found))}: compiled networks "
            "have settled sizes; say it with torch.where, or choose outside"
        )


def _sized_by_data(node: Any) -> bool:
    if node.kind() != "aten::index":
        return node.kind() in _SIZED_BY_DATA
    return any(_is_mask(one) for one in node.inputsAt(1).node().inputs())


def _is_mask(index: Any) -> bool:
    made = index.node()  # indexing casts what it is given
    given = made.inputsAt(0) if made.kind() == "aten::to" else index
    return bool(given.isCompleteTensor() and given.type().scalarType() == "Bool")


def warned_of(warned: Sequence[warnings.WarningMessage]) -> list[str]:
    """Where values left the tensors, by the warnings of torch's tracer."""
    return [
        f"{one.filename}:{one.lineno} `{linecache.getline(one.filename, one.lineno).strip()}`"
        for one in warned
        if str(one.message).startswith(_LEAVES)
    ]


def _depends_on_data(module: nn.Module, examples: tuple[Tensor, ...]) -> bool:
    """Whether it asks for a value where tensors have sizes only."""
    from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        try:
            module(*map(mode.from_tensor, examples))
        except DataDependentOutputException:
            return True
        except Exception:  # what fake tensors cannot do says nothing of the network
            return False
    return False
