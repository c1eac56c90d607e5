# SPDX-License-Identifier: Apache-2.0
"""An image becomes bytes by rule 1 of docs/int8.md, with its border, whatever its width and channels."""

import numpy as np
import pytest
import torch
import tvm
from tvm import te

from mnc.compile.templates import packed_image
from mnc.model.quantization.operators import quantize
from mnc.targets import load


@pytest.mark.parametrize("in_pairs", [False, True])
@pytest.mark.parametrize(
    ("shape", "border", "dtype", "zero"),
    [
        ((1, 3, 5, 32), (1, 1, 1, 1), "uint8", 114),
        ((2, 1, 4, 28), (0, 0, 1, 1), "int8", 0),
        ((1, 4, 3, 19), (2, 0, 0, 3), "int8", 255),
    ],
)
def test_every_byte_is_rounded_half_to_even_within_its_bounds(
    shape: tuple[int, ...], border: tuple[int, ...], dtype: str, zero: int, *, in_pairs: bool
) -> None:
    scale, fill, offset = 0.25, 7, 128 if dtype == "int8" else 0
    image = np.random.default_rng(1).uniform(-100, 100, shape).astype(np.float32)
    image.flat[:200] = np.arange(-100, 100) / 8  # ties too
    image.flat[200:203] = [np.inf, -np.inf, 3e38]
    top, left, bottom, right = border
    row = shape[1] * (shape[3] + left + right)
    pairs = row // 2 + 2 if in_pairs else 0
    with tvm.target.Target(load("host").tvm_target()):
        data = te.placeholder(shape, name="data")
        out = packed_image.compute(data, 1 / scale, zero, border, fill, dtype, pairs)
        built = tvm.build(te.create_schedule(out.op), [data, out])
    made = tvm.nd.empty([int(extent) for extent in out.shape], dtype)
    built(tvm.nd.array(image), made)
    wanted = quantize(torch.from_numpy(image), scale, zero).numpy() - offset
    borders = [(0, 0), (0, 0), (top, bottom), (left, right)]
    wanted = np.pad(wanted, borders, constant_values=fill).transpose(0, 2, 3, 1)
    if not in_pairs:
        assert (made.numpy()[:, 0, :, :, : shape[1]] == wanted).all()
        return
    bytes_ = made.numpy().reshape(*wanted.shape[:2], -1)
    assert (bytes_[:, :, :row] == wanted.reshape(*wanted.shape[:2], -1)).all()
    assert (bytes_[:, :, row:] == fill).all()


@pytest.mark.parametrize(("zero", "instruction"), [(114, "fcvtns"), (113, "fmaxnm")])
def test_products_are_rounded_alone_where_the_zero_point_is_even(
    zero: int, instruction: str
) -> None:
    """Of 0.5 and 113 the sum is 114, and the even number next to 0.5 is 0."""
    target = tvm.target.Target(load("rpi4").tvm_target())
    with target:
        data = te.placeholder((1, 3, 8, 8), name="data")
        out = packed_image.compute(data, 4.0, zero, (0, 0, 1, 1), 7, "int8", 14)
        built = tvm.build(te.create_schedule(out.op), [data, out], target=target)
    code = built.get_source("asm")
    assert [one in code for one in ("fcvtns", "fmaxnm")].count(True) == 1 and instruction in code
