# SPDX-License-Identifier: Apache-2.0
"""One built kernel through the simulator, as a plain value that can be compared, stored and sent.

Takes a `BuiltKernel` and its `Board`; gives a `Price`.
"""

import msgspec

from compile.simulator.validation.boards import Board
from compile.simulator.validation.kernels import BuiltKernel


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulator says. `causes` are (cause, cycles), `misses` (level, lines)."""

    seconds: float
    cycles: float
    instructions: int
    causes: tuple[tuple[str, float], ...]
    misses: tuple[tuple[str, int], ...]


def price(kernel: BuiltKernel, board: Board) -> Price:
    """Warm, on all fast cores, as the board's time_evaluator saw it. Raises UserError (SimulationError)."""
    raise NotImplementedError
