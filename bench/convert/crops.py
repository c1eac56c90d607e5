# SPDX-License-Identifier: Apache-2.0
"""int8/inputs.npy and int8/expected.npy: crops of photographs, and what PyTorch gives for them in float32.

Usage: python crops.py FOLDER MODEL PRECISION.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from mnc.model import crops, zoo


def main(folder: Path, name: str) -> None:
    """Write the files."""
    model = zoo.load(name)
    if model.preprocess is None:
        raise RuntimeError(f"nothing says what images {name} takes")
    inputs = crops.crops(model.preprocess)[:, None]
    with torch.no_grad():
        outputs = [model.module(torch.from_numpy(one)).numpy() for one in inputs]
    np.save(folder / "int8" / "inputs.npy", inputs)
    np.save(folder / "int8" / "expected.npy", np.stack(outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
