# SPDX-License-Identifier: Apache-2.0
"""The grids at a quantized network's ends, for those who give and take 8-bit numbers there.

Takes the network with markers, or outputs that it gave; gives `Grid`s.
"""

from typing import Any

import numpy as np
from torch import fx, nn

from mnc.model.quantization import kinds
from mnc.model.quantization.ranges import STEPS, Grid

ROOM = 0.5  # of the range that outputs had, added below and above it: other inputs reach further


def input_grids(module: nn.Module, inputs: int) -> tuple[Grid | None, ...]:
    """For each of its `inputs` the grid on which it is stored before anything is computed, or None."""
    if not isinstance(module, fx.GraphModule):
        return (None,) * inputs
    return tuple(_stored_on(node) for node in module.graph.nodes if node.op == "placeholder")


def _stored_on(node: fx.Node) -> Grid | None:
    users = list(node.users)
    if len(users) != 1 or kinds.name_of(users[0].target) != "fake_quantize":
        return None
    _, scale, zero_point = users[0].args
    return Grid(float(np.float32(scale)), int(zero_point))  # type: ignore[arg-type]


def output_grid(values: np.ndarray[Any, np.dtype[np.float32]]) -> Grid:
    """A grid for an output that is no map: the range of `values`, zero in it, and `ROOM` on both sides."""
    finite = values[np.isfinite(values)].astype(np.float64)
    least, most = min(0.0, finite.min(initial=0.0)), max(0.0, finite.max(initial=0.0))
    scale = float(np.float32((1 + 2 * ROOM) * (most - least) / STEPS)) or 1.0
    return Grid(scale, round(STEPS * ROOM / (1 + 2 * ROOM) - least / scale))
