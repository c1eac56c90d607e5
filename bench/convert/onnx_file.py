# SPDX-License-Identifier: Apache-2.0
"""model.onnx, opset 18, from model.pt2; constants folded, explicit paddings fused into convolutions.

Usage: python onnx_file.py FOLDER. TensorFlow's padding is a layer of its own in PyTorch, and not
every runtime that reads ONNX would fuse it; so all get a graph in which it is gone.
"""

import sys
from pathlib import Path

import onnx
import torch
from onnxscript import ir, optimizer, rewriter
from onnxscript.rewriter.rules.common import fuse_pad_into_conv_rule


def main(folder: Path) -> None:
    """Export, tidy, check, write."""
    program = torch.export.load(str(folder / "model.pt2"))
    exported = torch.onnx.export(
        program,
        opset_version=18,
        input_names=["input"],
        output_names=["output"],
        dynamo=True,
    )
    if exported is None:
        raise RuntimeError("torch gave no ONNX program")
    network = exported.model
    optimizer.optimize(network)
    rewriter.rewrite(network, [fuse_pad_into_conv_rule])
    onnx.checker.check_model(ir.to_proto(network), full_check=True)
    ir.save(network, folder / "model.onnx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
