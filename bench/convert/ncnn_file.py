# SPDX-License-Identifier: Apache-2.0
"""model.ncnn.param and model.ncnn.bin from model.pt with pnnx, float32.

Usage: python ncnn_file.py FOLDER. pnnx folds explicit paddings into their convolutions itself.
"""

import sys
from pathlib import Path

import numpy as np
import pnnx
import torch


def main(folder: Path) -> None:
    """Convert in `folder`: pnnx writes beside its input."""
    shape = np.load(folder / "inputs.npy").shape[1:]
    pnnx.convert(str(folder / "model.pt"), inputs=torch.zeros(shape), fp16=False, optlevel=2)
    if not (folder / "model.ncnn.bin").is_file():
        raise RuntimeError("pnnx made no file for ncnn")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
