# SPDX-License-Identifier: Apache-2.0
"""LiteRT with its XNNPACK delegate (the default of the builtin resolver), channels last.

Where a file takes and gives int8, `prepare` and `finish` convert.
"""

from pathlib import Path

import numpy as np
from ai_edge_litert import interpreter as litert
from network import Network

try:
    from ai_edge_litert import __version__ as version
except ImportError:
    from importlib.metadata import version as installed

    version = installed("ai-edge-litert")


def load(folder: Path, threads: int) -> Network:
    """The .tflite file on `threads` threads."""
    network = litert.Interpreter(str(folder / "model.tflite"), num_threads=threads)
    network.allocate_tensors()
    source, result = network.get_input_details()[0], network.get_output_details()[0]
    channels_last = source["shape"][-1] in (1, 3)

    def prepare(image: np.ndarray) -> np.ndarray:
        image = image.transpose(0, 2, 3, 1) if channels_last else image
        if source["dtype"] == np.int8:
            scale, zero_point = source["quantization"]
            image = np.clip(np.rint(image / scale) + zero_point, -128, 127).astype(np.int8)
        return np.ascontiguousarray(image)

    def finish(output: np.ndarray) -> np.ndarray:
        if result["dtype"] != np.int8:
            return output
        scale, zero_point = result["quantization"]
        return (output.astype(np.float32) - zero_point) * np.float32(scale)

    def call(image: np.ndarray) -> np.ndarray:
        network.set_tensor(source["index"], image)
        network.invoke()
        return network.get_tensor(result["index"])

    return Network(version, call, prepare=prepare, finish=finish)
