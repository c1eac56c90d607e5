# SPDX-License-Identifier: Apache-2.0
"""model.pte from model.pt2, delegated to XNNPACK, float32. Usage: python executorch_file.py FOLDER."""

import sys
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower


def main(folder: Path) -> None:
    """Lower as ExecuTorch's guide does for CPUs."""
    program = torch.export.load(str(folder / "model.pt2"))
    program = torch.export.export(program.module(), program.example_inputs[0])
    edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    (folder / "model.pte").write_bytes(edge.to_executorch().buffer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
