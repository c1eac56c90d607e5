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


@pytest.mark.parametrize(
    ("shape", "border", "dtype", "zero"),
    [
        ((1, 3, 5, 32), (1, 1, 1, 1), "uint8", 114),
        ((2, 1, 4, 28), (0, 0, 1, 1), "int8", 0),
        ((1, 4, 3, 19), (2, 0, 0, 3), "int8", 255),
    ],
)
def test_every_byte_is_rounded_half_to_even_within_its_bounds(
    shape: tuple[int, ...], border: tuple[int, ...], dtype: str, zero: int
) -> None:
    scale, fill, offset = 0.25, 7, 128 if dtype == "int8" else 0
    image = np.random.default_rng(1).uniform(-100, 100, shape).astype(np.float32)
    image.flat[:200] = np.arange(-100, 100) / 8  # ties too
    image.flat[200:203] = [np.inf, -np.inf, 3e38]
    with tvm.target.Target(load("host").tvm_target()):
        data = te.placeholder(shape, name="data")
        out = packed_image.compute(data, 1 / scale, zero, border, fill, dtype)
        built = tvm.build(te.create_schedule(out.op), [data, out])
    made = tvm.nd.empty([int(extent) for extent in out.shape], dtype)
    built(tvm.nd.array(image), made)
    top, left, bottom, right = border
    wanted = quantize(torch.from_numpy(image), scale, zero).numpy() - offset
    borders = [(0, 0), (0, 0), (top, bottom), (left, right)]
    wanted = np.pad(wanted, borders, constant_values=fill).transpose(0, 2, 3, 1)
    assert (made.numpy()[:, 0, :, :, : shape[1]] == wanted).all()
