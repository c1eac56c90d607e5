# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime, CPU provider: all graph optimisations (the default), sequential, spinning threads."""

from pathlib import Path

import onnxruntime
from network import Network


def load(folder: Path, threads: int) -> Network:
    """The ONNX file as a session on `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return Network(
        onnxruntime.__version__,
        lambda image: session.run(None, {name: image}),
        finish=lambda outputs: outputs[0],
    )
