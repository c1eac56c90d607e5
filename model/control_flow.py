# SPDX-License-Identifier: Apache-2.0
"""Finds networks that decide by their data (`if x.mean() > 0`): a trace would take one way for all inputs.

Takes a module, examples of its inputs and what tracing warned of; raises a UserError that names the line.
"""

import linecache
import warnings
from collections.abc import Sequence

from torch import Tensor, nn

from mnc.support.errors import UserError

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
