# SPDX-License-Identifier: Apache-2.0
"""ncnn as it is unless told otherwise: half-precision storage and arithmetic where the core has them."""

from pathlib import Path

import run_ncnn
from network import Network


def load(folder: Path, threads: int) -> Network:
    """As run_ncnn's, in half precision."""
    return run_ncnn.load(folder, threads, fp16=True)
