# SPDX-License-Identifier: Apache-2.0
"""Weights of the seven products: the convolution's own again."""

import numpy as np

from mnc.compile.templates import strassen_products, strassen_weights


def test_packed_weights_and_bias_are_those_that_were_packed() -> None:
    random = np.random.default_rng(0)
    kernel = random.standard_normal((6, 4, 1, 1, 4, 4)).astype(np.float32)
    bias = random.standard_normal((1, 6, 1, 1, 4)).astype(np.float32)
    seven = strassen_weights.packed(kernel)
    assert seven.shape == (3, len(strassen_products.PRODUCTS), 2, 1, 4, 4)
    np.testing.assert_allclose(strassen_weights.unpacked(seven), kernel, atol=1e-6)
    again = strassen_weights.bias_unpacked(strassen_weights.bias_packed(bias))
    np.testing.assert_allclose(again, bias, atol=1e-6)
