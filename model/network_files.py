# SPDX-License-Identifier: Apache-2.0
"""Networks in files of other frameworks than PyTorch: which there are, and how each is read."""

from pathlib import Path

from mnc.model import onnx_file, tflite_file
from mnc.model.inputs import InputShapes
from mnc.model.onnx_file import OnnxNetwork
from mnc.model.tflite_file import TfliteNetwork

FileNetwork = OnnxNetwork | TfliteNetwork
SUFFIXES = (onnx_file.SUFFIX, tflite_file.SUFFIX)


def is_file(spec: str) -> bool:
    """Whether `spec` is the path of one."""
    return Path(spec).suffix in SUFFIXES


def read(path: Path, *, input_shape: InputShapes | None, batch: int) -> FileNetwork:
    """The network in `path`. UserError as the readers of the two kinds have it."""
    reader = onnx_file.read if path.suffix == onnx_file.SUFFIX else tflite_file.read
    return reader(path, input_shape=input_shape, batch=batch)
