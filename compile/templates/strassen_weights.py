# SPDX-License-Identifier: Apache-2.0
"""What `strassen` multiplies by: a 1x1 convolution's weights and bias, each in halves, added up beforehand.

Takes numpy arrays as the pointwise template has them; gives those that the seven products take, and back.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]


def packed(kernel: Numbers) -> Numbers:
    """The weights (O, I, 1, 1, i, o), of even numbers of blocks, as (O / 2, 7, I / 2, 1, i, o): a matrix for
    each of `strassen_products.PRODUCTS`, in their order.
    """
    ((b11, b21), (b12, b22)) = (
        np.split(half, 2, axis=1) for half in np.split(kernel[:, :, 0].astype(np.float64), 2)
    )
    t1 = b12 - b11
    t2 = b22 - t1
    seven = (b11, b21, t2, t1, b22, b22 - b12, b21 - t2)
    return np.stack(seven, axis=1).astype(kernel.dtype)


def unpacked(seven: Numbers) -> Numbers:
    """The weights again, but for rounding."""
    b11, b21, _, t1, b22, _, _ = np.moveaxis(seven, 1, 0).astype(np.float64)
    halves = [np.concatenate(half, axis=1) for half in ((b11, b21), (b11 + t1, b22))]
    return np.concatenate(halves)[:, :, None].astype(seven.dtype)


def bias_packed(bias: Numbers) -> Numbers:
    """Bias (1, O, 1, 1, o): the second half of the channels by how much it is above the first."""
    first, second = np.split(bias, 2, axis=1)
    return np.concatenate([first, second - first], axis=1)


def bias_unpacked(packed: Numbers) -> Numbers:
    """The bias again, but for rounding."""
    first, more = np.split(packed, 2, axis=1)
    return np.concatenate([first, first + more], axis=1)
