# SPDX-License-Identifier: Apache-2.0
"""Reading graphs and planning their memory: what is accepted, and that no two live tensors share a byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnc.compile.codegen import alignment, kernel_object
from mnc.compile.export import graph, memory_plan, weights
from mnc.compile.export.graph import Call, Graph, Tensor
from mnc.support.errors import UserError
from tests.compile.export.conftest import Shipped


def chain() -> dict[str, Any]:
    """input -> kernel a (with weight) -> reshape -> kernel b -> output."""
    attrs = {"flatten_data": "0", "num_inputs": "1", "num_outputs": "1"}
    return {
        "nodes": [
            {"op": "null", "name": "x", "inputs": []},
            {"op": "null", "name": "w", "inputs": []},
            {
                "op": "tvm_op",
                "name": "a",
                "attrs": attrs | {"func_name": "a"},
                "inputs": [[0, 0, 0], [1, 0, 0]],
            },
            {
                "op": "tvm_op",
                "name": "r",
                "attrs": attrs | {"func_name": "__nop"},
                "inputs": [[2, 0, 0]],
            },
            {
                "op": "tvm_op",
                "name": "b",
                "attrs": attrs | {"func_name": "b"},
                "inputs": [[3, 0, 0]],
            },
        ],
        "arg_nodes": [0, 1],
        "heads": [[4, 0, 0]],
        "node_row_ptr": [0, 1, 2, 3, 4, 5],
        "attrs": {
            "shape": ["list_shape", [[1, 4], [4, 4], [1, 4], [4], [4]]],
            "dltype": ["list_str", ["float32"] * 5],
            "storage_id": ["list_int", [0, 1, 2, 2, 0]],
        },
        "scratch_bytes": 64,
    }


def read(value: Any) -> Graph:
    return graph.read(json.dumps(value), weights={"w"}, where="there")


def test_a_reshape_is_another_view_of_the_same_bytes() -> None:
    found = read(chain())
    assert found.inputs == {"x": 0} and found.weights == {"w": 1} and found.outputs == (4,)
    assert found.calls == (Call("a", (0, 1), (2,)), Call("b", (3,), (4,)))
    assert found.tensors[3].buffer == found.tensors[2].buffer == 2
    layout = memory_plan.plan(found)
    assert 1 not in layout.offsets  # weights lie elsewhere
    assert layout.size == layout.needed == 128  # x shares bytes with the output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.pop("scratch_bytes"), "build it again"),
        (lambda g: g.pop("nodes"), "cannot be read"),
        (lambda g: g["attrs"]["dltype"][1].__setitem__(4, "int8"), "float32 inputs and outputs"),
        (lambda g: g["attrs"]["dltype"][1].__setitem__(3, "bfloat16"), "not supported"),
        (lambda g: g["attrs"]["shape"][1].__setitem__(2, [-1, 4]), "not supported"),
        (lambda g: g["attrs"]["shape"][1].__setitem__(2, [2**20, 2**20]), "not supported"),
        (lambda g: g.update(scratch_bytes=2**50), "cannot be read"),
        (lambda g: g.update(scratch_bytes=-1), "cannot be read"),
        (lambda g: g["attrs"]["shape"][1].pop(), "cannot be read"),
        (lambda g: g["nodes"][2]["attrs"].update(func_name='a"; x'), "cannot be read"),
        (lambda g: g["nodes"][2]["attrs"].update(flatten_data="1"), "needs TVM's runtime"),
        (lambda g: g["nodes"][2]["inputs"].append([9, 0, 0]), "cannot be read"),
        (lambda g: g["nodes"][2]["inputs"].append([4, 0, 0]), "cannot be read"),
        (lambda g: g["heads"].append([-1, 0, 0]), "cannot be read"),
    ],
)
def test_a_graph_that_cannot_be_exported_is_one_clear_line(change: Any, message: str) -> None:
    value = chain()
    change(value)
    with pytest.raises(UserError, match=message) as caught:
        read(value)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("there")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_to_a_graph_is_a_user_error_or_nothing(data: st.DataObject) -> None:
    text = json.dumps(chain())
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    damage = data.draw(st.text(alphabet='[]{}",:-0123456789 anulltrue', max_size=8))
    try:
        found = graph.read(text[:start] + damage + text[end:], weights={"w"}, where="there")
    except UserError:
        return
    memory_plan.plan(found)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Calls that read any earlier tensors."""
    sizes = draw(st.lists(st.integers(1, 400), min_size=2, max_size=14))
    tensors = tuple(Tensor((size,), "float32", i) for i, size in enumerate(sizes))
    calls = []
    for number in range(1, len(sizes)):
        sources = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3))
        calls.append(Call("k", tuple(sources), (number,)))
    return Graph(tensors, tuple(calls), {"x": 0}, {}, (len(sizes) - 1,), 0)


@settings(deadline=None, max_examples=200)
@given(graphs())
def test_no_value_is_overwritten_before_its_last_use(network: Graph) -> None:
    layout = memory_plan.plan(network)
    owner: dict[int, int] = {}

    def write(entry: int) -> None:
        at, size = layout.offsets[entry], network.tensors[entry].size
        assert at % alignment.ALIGNMENT == 0 and at + size <= layout.size
        owner.update(dict.fromkeys(range(at, at + size, 4), entry))

    def check(entry: int) -> None:
        at, size = layout.offsets[entry], network.tensors[entry].size
        assert all(owner[byte] == entry for byte in range(at, at + size, 4))

    write(0)
    for call in network.calls:
        for entry in call.outputs:
            write(entry)
        for entry in (*call.inputs, *call.outputs):
            check(entry)
    check(network.outputs[0])
    assert layout.needed <= layout.size


def test_a_chain_in_which_the_largest_come_first_wastes_nothing() -> None:
    # By size alone the three of 160 are placed before the 80, which then finds no room beside them.
    sizes = (60, 160, 160, 80, 160, 40, 80, 20)
    tensors = tuple(Tensor((16 * size,), "float32", i) for i, size in enumerate(sizes))
    calls = tuple(Call("k", (i - 1,), (i,)) for i in range(1, len(sizes)))
    layout = memory_plan.plan(Graph(tensors, calls, {"x": 0}, {}, (len(sizes) - 1,), 0))
    assert layout.size == layout.needed == 64 * 320


def test_the_plan_of_a_real_network_wastes_nothing(shipped: Shipped) -> None:
    folder = shipped.artifact.folder
    arrays = weights.read(folder / "library.so")
    text = (folder / kernel_object.GRAPH).read_bytes()
    layout = memory_plan.plan(graph.read(text, weights=set(arrays), where="there"))
    assert layout.size == layout.needed == shipped.exported.arena_bytes


def test_an_artifact_says_how_its_kernels_are_shared(shipped: Shipped) -> None:
    """Without the key, as in artifacts of before, every kernel is left to the general case."""
    folder = shipped.artifact.folder
    text = (folder / kernel_object.GRAPH).read_bytes()
    names = set(weights.read(shipped.artifact.library))
    found = graph.read(text, weights=names, where="here")
    assert {"shares"} <= {call.way for call in found.calls} <= {"shares", "alone", "forks"}
    older = json.loads(text)
    del older["ways"]
    calls = graph.read(json.dumps(older), weights=names, where="here").calls
    assert {call.way for call in calls} == {"forks"}
