# SPDX-License-Identifier: Apache-2.0
"""int8/model.pte from model.pt2, quantized by PT2E and delegated to XNNPACK.

Usage: python executorch_int8.py FOLDER.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import to_edge_transform_and_lower
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e


def main(folder: Path) -> None:
    """Quantize and lower as ExecuTorch's guide does for CPUs."""
    program = torch.export.load(str(folder / "model.pt2"))
    example = program.example_inputs[0]
    how = get_symmetric_quantization_config(is_per_channel=True)
    prepared = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(how))
    with torch.no_grad():
        for image in np.load(folder / "calibration.npy"):
            prepared(torch.from_numpy(image))
    quantized = torch.export.export(convert_pt2e(prepared), example)
    edge = to_edge_transform_and_lower(quantized, partitioner=[XnnpackPartitioner()])
    (folder / "int8" / "model.pte").write_bytes(edge.to_executorch().buffer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
