# SPDX-License-Identifier: Apache-2.0
"""Reading what the kernel says in /proc and /sys, which differ from kernel to kernel.

What cannot be read is "", what is no number 0. Every reader above this one takes the root folder, so that
another machine's files can be read the same way.
"""

from pathlib import Path

ROOT = Path("/")


def text(path: Path) -> str:
    """The file's text; "" when it cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def integer(said: str) -> int:
    """A number, decimal or 0x...; 0 for anything else."""
    try:
        return int(said.strip(), 0)
    except ValueError:
        return 0


def cpu_list(said: str) -> list[int]:
    """ "0-3,8" -> [0, 1, 2, 3, 8]."""
    cpus: list[int] = []
    for part in said.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            cpus += range(int(first), min(int(last or first), int(first) + MOST_CPUS) + 1)
    return cpus


MOST_CPUS = 8192  # of one range; Linux's own limit for the largest machines
