# SPDX-License-Identifier: Apache-2.0
"""Tests of model/quantization: markers, and what makes 8-bit integers of a network."""
