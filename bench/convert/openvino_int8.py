# SPDX-License-Identifier: Apache-2.0
"""int8/model.xml and model.bin from model.onnx with NNCF's post-training quantization.

Usage: python openvino_int8.py FOLDER. Preset performance: symmetric activations, the fastest.
"""

import sys
from pathlib import Path

import nncf
import numpy as np
import openvino


def main(folder: Path) -> None:
    """Quantize with all calibration images."""
    images = np.load(folder / "calibration.npy")
    quantized = nncf.quantize(
        openvino.Core().read_model(str(folder / "model.onnx")),
        nncf.Dataset(list(images)),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        subset_size=len(images),
        fast_bias_correction=True,
    )
    openvino.save_model(quantized, str(folder / "int8" / "model.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
