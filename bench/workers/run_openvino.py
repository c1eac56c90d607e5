# SPDX-License-Identifier: Apache-2.0
"""OpenVINO, CPU plugin: latency hint, one stream, float32 asked for (on AMX it would take bfloat16)."""

import os
from pathlib import Path

import openvino
from network import Network


def load(folder: Path, threads: int) -> Network:
    """The file that VARIANT names, compiled for `threads` threads; tensors are shared, not copied."""
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(str(folder / os.environ["VARIANT"])),
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        },
    )
    request = compiled.create_infer_request()
    return Network(
        openvino.__version__,
        lambda image: request.infer([image], share_inputs=True, share_outputs=True),
        finish=lambda outputs: outputs[0],
    )
