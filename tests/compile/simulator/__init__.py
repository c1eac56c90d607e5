# SPDX-License-Identifier: Apache-2.0
"""Tests of the simulator and of its validation."""
