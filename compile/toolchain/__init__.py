# SPDX-License-Identifier: Apache-2.0
"""Compilers, linkers and what they make: pass contexts, zig, ELF checks, CPU features."""
