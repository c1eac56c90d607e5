# SPDX-License-Identifier: Apache-2.0
"""Planning a graph's memory: no two live tensors share a byte, and little is wasted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mnc.compile.codegen import alignment
from mnc.compile.export import memory_plan, weights
from mnc.compile.toolchain import graph
from mnc.compile.toolchain.graph import Call, Graph, Tensor
from tests.compile.export.conftest import Shipped


def tensors_of(*sizes: int) -> tuple[Tensor, ...]:
    """Flat ones of so many floats."""
    return tuple(Tensor((size,), "float32", i, i) for i, size in enumerate(sizes))


def test_weights_have_no_place_and_views_one_together() -> None:
    view = Tensor((1, 4), "float32", 2, 2)
    tensors = (*tensors_of(4, 16, 4), view, Tensor((4,), "float32", 4, 4))
    calls = (Call("a", (0, 1), (2,)), Call("b", (3,), (4,)))
    layout = memory_plan.plan(Graph(tensors, calls, {"x": 0}, {"w": 1}, (4,), 0))
    assert set(layout.offsets) == {0, 2, 4}
    assert layout.size == layout.needed == 128  # the input shares bytes with the output


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Calls that read any earlier tensors."""
    sizes = draw(st.lists(st.integers(1, 400), min_size=2, max_size=14))
    calls = []
    for number in range(1, len(sizes)):
        sources = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3))
        calls.append(Call("k", tuple(sources), (number,)))
    return Graph(tensors_of(*sizes), tuple(calls), {"x": 0}, {}, (len(sizes) - 1,), 0)


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
    tensors = tensors_of(*(16 * size for size in sizes))
    calls = tuple(Call("k", (i - 1,), (i,)) for i in range(1, len(sizes)))
    layout = memory_plan.plan(Graph(tensors, calls, {"x": 0}, {}, (len(sizes) - 1,), 0))
    assert layout.size == layout.needed == 64 * 320


def test_the_plan_of_a_real_network_wastes_nothing(shipped: Shipped) -> None:
    folder = shipped.artifact.folder
    arrays = weights.read(folder / "library.so")
    layout = memory_plan.plan(graph.load(folder, weights=arrays))
    assert layout.size == layout.needed == shipped.exported.arena_bytes
