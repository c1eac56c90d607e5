# SPDX-License-Identifier: Apache-2.0
"""int8/model.onnx from model.onnx with ONNX Runtime's static quantization. Usage: python onnx_int8.py FOLDER.

uint8 activations and int8 weights per channel (u8s8, as its kernels for x86 want them), as QDQ pairs.
"""

import sys
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Images(CalibrationDataReader):  # type: ignore[misc]  # no types outside of its environment
    """The calibration images, one after the other."""

    def __init__(self, path: Path) -> None:
        self._images = iter(np.load(path))

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next one; None when there is none."""
        image = next(self._images, None)
        return None if image is None else {"input": image}


def main(folder: Path) -> None:
    """Prepare as ONNX Runtime advises, quantize."""
    prepared = folder / "int8" / "prepared.onnx"
    quant_pre_process(str(folder / "model.onnx"), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(folder / "int8" / "model.onnx"),
        Images(folder / "calibration.npy"),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    prepared.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
