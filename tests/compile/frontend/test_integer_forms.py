# SPDX-License-Identifier: Apache-2.0
"""Sums become 8 bits by one rounding, ties to even, whatever the zero point, and saturate."""

import numpy as np
import pytest
import tvm
from tvm import relay

from mnc.compile.frontend.integer_forms import Grid, Sums
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
    module = tvm.IRModule.from_expr(relay.Function([data], sums.quantized(Grid(1.0, zero, dtype))))
    run = relay.create_executor("graph", module, target=load("host").tvm_target()).evaluate()
    product = SUMS.astype(np.float32) * np.float32(scale)
    wanted = np.clip(
        np.rint(product.astype(np.float64) + zero), max(zero - 40, 0), min(zero + 110, 255)
    )
    offset = 128 if dtype == "int8" else 0
    assert (run(SUMS).numpy().astype(int) == wanted.astype(int) - offset).all()
