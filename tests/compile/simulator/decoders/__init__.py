# SPDX-License-Identifier: Apache-2.0
"""Tests of the decoders: instructions one by one, and real kernels."""
