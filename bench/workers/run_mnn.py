# SPDX-License-Identifier: Apache-2.0
"""MNN, CPU back end: high precision (float32), high power, through the session interface."""

from pathlib import Path

import MNN
import numpy as np
from network import Network


def load(folder: Path, threads: int) -> Network:
    """The .mnn file as a session on `threads` threads."""
    interpreter = MNN.Interpreter(str(folder / "model.mnn"))
    session = interpreter.createSession(
        {"backend": "CPU", "numThread": threads, "precision": "high", "power": "high"}
    )
    source = interpreter.getSessionInput(session)
    result = interpreter.getSessionOutput(session)
    classes = result.getShape()[1]
    host = MNN.Tensor((1, classes), MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe)

    def prepare(image: np.ndarray) -> MNN.Tensor:
        return MNN.Tensor(image.shape, MNN.Halide_Type_Float, image, MNN.Tensor_DimensionType_Caffe)

    def call(image: MNN.Tensor) -> MNN.Tensor:
        source.copyFrom(image)
        interpreter.runSession(session)
        result.copyToHostTensor(host)
        return host

    return Network(
        MNN.version(),
        call,
        prepare=prepare,
        finish=lambda tensor: np.array(tensor.getData(), np.float32).reshape(1, -1),
    )
