# SPDX-License-Identifier: Apache-2.0
"""How memory that kernels are given is aligned."""

ALIGNMENT = 64  # bytes: what TVM's kernels take for granted, and a cache line


def align(size: int) -> int:
    """`size` rounded up to whole `ALIGNMENT`s."""
    return -(-size // ALIGNMENT) * ALIGNMENT
