# SPDX-License-Identifier: Apache-2.0
"""Tests of what half precision does to a network."""
