# SPDX-License-Identifier: Apache-2.0
"""Tests of bench/hiding."""
