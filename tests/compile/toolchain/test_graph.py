# SPDX-License-Identifier: Apache-2.0
"""Reading TVM's graphs: what is accepted, and what damage comes to."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnc.compile.toolchain import graph
from mnc.compile.toolchain.graph import Call, Graph, KernelTask
from mnc.support.errors import UserError


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
    assert found.calls == (Call("a", (0, 1), (2,), node=2), Call("b", (3,), (4,), node=4))
    assert [tensor.buffer for tensor in found.tensors] == [0, 1, 2, 2, 4]
    assert [tensor.storage for tensor in found.tensors] == [0, 1, 2, 2, 0]
    assert found.tensors[1].size == 4 * found.tensors[1].elements == 64


def test_a_kernel_s_task_says_what_its_arguments_are() -> None:
    value = chain()
    value["tasks"] = {"a": {"key": "a task", "roles": ["kernel", "data", "output"]}}
    first, second = read(value).calls
    assert first.task == KernelTask("a task", ("kernel", "data", "output"))
    assert first.of_roles("data", "kernel", "taps") == (1, 0) and first.of_roles("output") == (2,)
    assert second.task is None and second.of_roles("data", "output") == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.pop("nodes"), "cannot be read"),
        (lambda g: g.update(scratch_bytes=2**50), "cannot be read"),
        (lambda g: g.update(scratch_bytes=-1), "cannot be read"),
        (lambda g: g["attrs"]["shape"][1].pop(), "cannot be read"),
        (lambda g: g["nodes"][2]["attrs"].update(func_name='a"; x'), "cannot be read"),
        (lambda g: g["nodes"][2]["attrs"].update(flatten_data="1"), "needs TVM's runtime"),
        (lambda g: g["nodes"][2]["inputs"].append([9, 0, 0]), "cannot be read"),
        (lambda g: g["nodes"][2]["inputs"].append([4, 0, 0]), "cannot be read"),
        (lambda g: g["heads"].append([-1, 0, 0]), "cannot be read"),
        (lambda g: g["arg_nodes"].append(-1), "cannot be read"),
        (lambda g: g["node_row_ptr"].__setitem__(2, 9), "cannot be read"),
        (lambda g: g["nodes"][2].update(op="other"), "cannot be read"),
        (lambda g: g.update(tasks={"a": {"key": "", "roles": ["data", "output"]}}), "2 roles"),
        (lambda g: g.update(tasks={"a": {"key": "", "roles": ["x"] * 3}}), "cannot be read"),
    ],
)
def test_a_damaged_graph_is_one_clear_line(change: Any, message: str) -> None:
    value = chain()
    change(value)
    with pytest.raises(UserError, match=message) as caught:
        read(value)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("there")


def test_a_folder_without_a_graph_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no graph\.json .*build it again"):
        graph.load(tmp_path)
    (tmp_path / graph.GRAPH).write_text(json.dumps(chain()))
    assert graph.load(tmp_path, weights={"w"}) == read(chain())


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
    named = [entry for call in found.calls for entry in (*call.inputs, *call.outputs)]
    numbers = range(len(found.tensors))
    assert all(entry in numbers for entry in (*named, *found.inputs.values(), *found.outputs))
    assert all(tensor.buffer in numbers for tensor in found.tensors)
