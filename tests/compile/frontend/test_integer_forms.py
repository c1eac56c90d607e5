# SPDX-License-Identifier: Apache-2.0
"""Sums become 8 bits by one rounding, ties to even, whatever the zero point, and saturate."""

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relay

from mnc.compile.frontend.integer_forms import Addition, Stored, Sums
from mnc.compile.frontend.storing import Grid, Reach
from mnc.targets import load

SUMS = np.array(
    [*range(-9, 600), -(2**31), 2**31 - 1, 2**24 + 1, 2**30, -(2**30)], np.int32
).reshape(1, -1, 1, 1)


@pytest.mark.parametrize(
    ("zero", "dtype"), [(0, "uint8"), (128, "uint8"), (131, "uint8"), (131, "int8")]
)
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_ties_go_to_the_even_level_and_large_sums_to_the_last(
    scale: float, zero: int, dtype: str
) -> None:
    data = relay.var("data", shape=SUMS.shape, dtype="int32")
    sums = Sums(data, np.full(SUMS.shape[1], scale)).bounded(-40.0, 110.0)
    found = run(data, sums.quantized(Grid(1.0, zero, dtype)), SUMS)
    product = SUMS.astype(np.float32) * np.float32(scale)
    wanted = np.clip(
        np.rint(product.astype(np.float64) + zero), max(zero - 40, 0), min(zero + 110, 255)
    )
    offset = 128 if dtype == "int8" else 0
    assert (found.astype(int) == wanted.astype(int) - offset).all()


@pytest.mark.parametrize("low", [0, -(2**24)])
def test_small_sums_are_rounded_twice_as_well(low: int) -> None:
    """15 * 0.1 in float32 is 1.5, and 132.5 goes to 132; a fused multiply-add would know that it is more, and
    give 133. From 2**23 on sums are converted, below they are the last bits of a float.
    """
    numbers = np.arange(1200, dtype=np.int32).reshape(1, -1, 1, 1)
    data = relay.var("data", shape=numbers.shape, dtype="int32")
    sums = Sums(data, np.full(1200, 0.1), reach=Reach(np.asarray(low), np.asarray(1199)))
    found = run(data, sums.quantized(Grid(1.0, 131, "int8")), numbers)
    product = (numbers.astype(np.float32) * np.float32(0.1)).astype(np.float64)
    assert found[0, 15, 0, 0] == 132 - 128
    assert (found == np.rint(product + 131) - 128).all()


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_product_is_rounded_before_a_map_is_added_to_it(dtype: str) -> None:
    """15 * 0.1 in float32 is 1.5, less 2 is -0.5, and 130.5 goes to 130; a fused multiply-add gives 131."""
    numbers = np.arange(1200, dtype=np.int32).reshape(1, -1, 1, 1)
    data = relay.var("data", shape=numbers.shape, dtype="int32")
    sums = Sums(data, np.full(1200, 0.1), reach=Reach(np.asarray(0), np.asarray(1199)))
    grid = Grid(1.0, 131, dtype)
    two_less = Stored(relay.const(np.full(numbers.shape, grid.stored_zero - 2, dtype)), grid)
    found = run(data, Addition(sums, two_less).quantized(grid), numbers).astype(int) + grid.offset
    product = (numbers.astype(np.float32) * np.float32(0.1)).astype(np.float64)
    assert found[0, 15, 0, 0] == 130
    assert (found == np.rint(product - 2 + 131)).all()


def run(data: Any, expr: Any, numbers: Any) -> Any:
    """An expression of `data`, here."""
    module = tvm.IRModule.from_expr(relay.Function([data], expr))
    made = relay.create_executor("graph", module, target=load("host").tvm_target()).evaluate()
    return made(numbers).numpy()
