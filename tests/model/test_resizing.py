# SPDX-License-Identifier: Apache-2.0
"""Resizes as sums of few pixels: where an infinity comes out as PyTorch has it."""

from typing import Any

import pytest
import torch

from mnc.model import resizing

ATEN: Any = torch.ops.aten
# Each reads border pixels more than once, or pixels of weight zero.
RESIZES = {
    "bicubic": (ATEN.upsample_bicubic2d, ([12, 5], False, None)),
    "bicubic, corners": (ATEN.upsample_bicubic2d, ([5, 13], True, None)),
    "bicubic, antialiased": (ATEN._upsample_bicubic2d_aa, ([9, 9], False, None)),
    "bilinear, antialiased": (ATEN._upsample_bilinear2d_aa, ([9, 4], False, None)),
    "bilinear, one axis": (ATEN.upsample_bilinear2d, (None, False, [1.0, 1.6])),
}


@pytest.mark.parametrize("name", RESIZES)
def test_an_infinite_pixel_comes_out_as_pytorch_has_it_wherever_it_is(name: str) -> None:
    operator, options = RESIZES[name]
    images = torch.ones(5 * 7, 1, 5, 7)
    images[torch.arange(5 * 7), 0, torch.arange(5 * 7) // 7, torch.arange(5 * 7) % 7] = torch.inf
    found = resizing.resize(operator)(images, *options)
    assert torch.allclose(found, operator(images, *options), equal_nan=True)
