# SPDX-License-Identifier: Apache-2.0
"""fp16/model.tflite: model.tflite marked so that LiteRT's XNNPACK delegate computes it in half precision.

Usage: python litert_fp16.py FOLDER. The delegate does so where the CPU has that arithmetic. There is no flag
for it in Python; TensorFlow's converter writes this metadata for `_experimental_supported_accumulation_type`.
"""

import shutil
import sys
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

SIZE = 1 << 20  # of the builder at first


def main(folder: Path) -> None:
    """Mark, write, and put the examples beside it."""
    source = (folder / "model.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(source, 0))
    accumulation = schema.BufferT()
    accumulation.data = list(b"fp16accfp16")
    model.buffers.append(accumulation)
    mark = schema.MetadataT()
    mark.name, mark.buffer = b"reduced_precision_support", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), mark]
    builder = flatbuffers.Builder(SIZE)
    builder.Finish(model.Pack(builder), b"TFL3")
    (folder / "fp16" / "model.tflite").write_bytes(builder.Output())
    for name in ("inputs.npy", "expected.npy"):
        shutil.copyfile(folder / name, folder / "fp16" / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
