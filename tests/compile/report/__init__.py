# SPDX-License-Identifier: Apache-2.0
"""Tests of the report: its data, its page, and the page in a real browser."""
