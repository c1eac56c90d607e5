# SPDX-License-Identifier: Apache-2.0
"""Micro-ops: the one instruction set that every decoder gives and the core model runs."""
