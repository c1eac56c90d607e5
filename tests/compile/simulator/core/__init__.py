# SPDX-License-Identifier: Apache-2.0
"""Tests of the C core model: pipeline, memory, and what C and Python both declare."""
