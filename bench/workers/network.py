# SPDX-License-Identifier: Apache-2.0
"""What a worker module's `load(folder, threads)` gives: a network ready to be called.

Only `call` is timed. `prepare` turns a float32 (N, C, H, W) array into what the runtime takes, once;
`finish` turns what it gave into a float32 array.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Network:
    """A loaded network and the version of the runtime it is loaded in. `workspace_bytes` is what it
    keeps for the tensors between layers, where the runtime tells.
    """

    version: str
    call: Callable[[Any], Any]
    prepare: Callable[[Any], Any] = _same
    finish: Callable[[Any], Any] = np.asarray
    workspace_bytes: int | None = None
