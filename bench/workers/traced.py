# SPDX-License-Identifier: Apache-2.0
"""Runs in the virtual board's Python: one call of a network warms the caches, the next is priced.

Usage: python traced.py MODULE FOLDER THREADS OUTPUTS. MODULE is one beside this file,
OUTPUTS where what the network gave is written.
"""

import ctypes
import importlib
import sys
from pathlib import Path

import numpy as np

MARK, END, WARM, TIMED = 0x6D6E63, 0, 1, 2  # docs/tracing.md


def main(module: str, folder: Path, threads: int, outputs: Path) -> None:
    """Load, call, mark."""
    prctl = ctypes.CDLL(None).prctl
    network = importlib.import_module(module).load(folder, threads)
    image = network.prepare(np.load(folder / "inputs.npy")[0])
    network.call(image)
    for region in (WARM, TIMED):
        prctl(MARK, region)
        given = network.call(image)
        prctl(MARK, END)
    np.save(outputs, network.finish(given))
    print(network.version)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
