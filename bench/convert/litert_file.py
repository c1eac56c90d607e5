# SPDX-License-Identifier: Apache-2.0
"""model.tflite from model.pt2 with LiteRT's converter, float32, input and output channels last.

Usage: python litert_file.py FOLDER.
"""

import sys
from pathlib import Path

import litert_torch
import torch


def main(folder: Path) -> None:
    """Convert; channels last is what the runtime's kernels work in."""
    program = torch.export.load(str(folder / "model.pt2"))
    example = program.example_inputs[0][0]
    module = litert_torch.to_channel_last_io(program.module(), args=[0])
    image = example.permute(0, 2, 3, 1).contiguous()
    litert_torch.convert(module, (image,)).export(str(folder / "model.tflite"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
