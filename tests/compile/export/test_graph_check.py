# SPDX-License-Identifier: Apache-2.0
"""Which graphs a freestanding library can run."""

import msgspec
import pytest

from mnc.compile.export import graph_check
from mnc.compile.toolchain.graph import Call, Graph, Tensor
from mnc.support.errors import UserError

FLOATS = Tensor((1, 4), "float32", 0, 0)


def chain(between: Tensor = FLOATS, last: Tensor = FLOATS) -> Graph:
    """input -> a -> b -> output."""
    calls = (Call("a", (0,), (1,)), Call("b", (1,), (2,)))
    return Graph((FLOATS, between, last), calls, {"x": 0}, {}, (2,), 64)


def test_a_graph_of_floats_is_exported_with_its_scratch() -> None:
    assert graph_check.check(chain(), where="there") == 64


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (msgspec.structs.replace(chain(), scratch_bytes=None), "build it again"),
        (chain(last=Tensor((1, 4), "int8", 2, 2)), "float32 inputs and outputs"),
        (chain(Tensor((1, 4), "bfloat16", 1, 1)), "not supported"),
        (chain(Tensor((-1, 4), "float32", 1, 1)), "not supported"),
        (chain(Tensor((2**20, 2**20), "float32", 1, 1)), "not supported"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(graph: Graph, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        graph_check.check(graph, where="there")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("there")
