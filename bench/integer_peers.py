# SPDX-License-Identifier: Apache-2.0
"""The runtimes that race in 8-bit integers: each quantized by its own tools, on the images that ours takes.

This project's float32 artifact races with them, as the measure of what integers gain.
"""

import dataclasses

from bench import float_peers
from bench.page import IN_FLOAT
from bench.peer import PROJECT, Peer, Recipe

INPUTS = ("exchange", "calibration", "crops")
RECIPES = (
    Recipe(
        "calibration",
        PROJECT,
        ("calibration.npy", "calibration.json", "calibration"),
        needs=(),
        takes_model=True,
        fresh=True,
    ),
    Recipe("crops", PROJECT, ("inputs.npy", "expected.npy"), takes_model=True, precision="int8"),
    Recipe(
        "mnc_artifact_int8",
        PROJECT,
        ("artifact",),
        needs=INPUTS,
        takes_model=True,
        fresh=True,
        script="mnc_artifact",
        precision="int8",
    ),
    Recipe(
        "onnx_int8",
        "onnxruntime_convert",
        ("model.onnx",),
        needs=(*INPUTS, "onnx_file"),
        precision="int8",
    ),
    Recipe(
        "openvino_int8",
        "nncf",
        ("model.xml", "model.bin"),
        needs=(*INPUTS, "onnx_file"),
        precision="int8",
    ),
    Recipe(
        "litert_int8",
        "litert_convert",
        ("model.tflite",),
        needs=(*INPUTS, "litert_file"),
        precision="int8",
    ),
    Recipe("executorch_int8", "executorch", ("model.pte",), needs=INPUTS, precision="int8"),
    Recipe("mnn_int8", "mnn", ("model.mnn",), needs=(*INPUTS, "mnn_file"), precision="int8"),
    Recipe(
        "ncnn_int8",
        "ncnn",
        ("model.ncnn.param", "model.ncnn.bin"),
        needs=(*INPUTS, "ncnn_file"),
        precision="int8",
    ),
)


def _integer(key: str, recipe: str, setting: str, **changed: object) -> Peer:
    """The float32 peer of the same key, with a file in 8-bit integers."""
    known = next(peer for peer in float_peers.PEERS if peer.key == key)
    made = dataclasses.replace(known, recipe=recipe, setting=setting, precision="int8")
    return dataclasses.replace(made, **changed)  # type: ignore[arg-type]


def _as_float(key: str) -> Peer:
    """This project's float32 peer under a key of its own, beside the one in integers."""
    known = next(peer for peer in float_peers.PEERS if peer.key == key)
    title = f"{known.title}, float32"
    return dataclasses.replace(known, key=f"{key}{IN_FLOAT}", title=title)


PEERS = (
    _integer(
        "mnc", "mnc_artifact_int8", "this project: `mnc build --precision int8`, in its Session"
    ),
    _integer(
        "mnc-c",
        "mnc_artifact_int8",
        "this project: the C library of `mnc export` of that artifact, called through ctypes",
    ),
    _as_float("mnc"),
    _as_float("mnc-c"),
    _integer(
        "onnxruntime",
        "onnx_int8",
        "quantize_static, QDQ, uint8 activations, int8 weights per channel, ranges of least and most; "
        "else as in float32",
    ),
    _integer(
        "openvino",
        "openvino_int8",
        "NNCF's post-training quantization, preset performance, with bias correction; hint LATENCY, one "
        "stream, inputs and outputs shared",
        files=("model.xml", "model.bin"),
        variant="model.xml",
    ),
    _integer(
        "litert",
        "litert_int8",
        "ai-edge-quantizer, static int8 weights per channel and activations; ranges of least and most, since "
        "its moving average cuts off logits; XNNPACK delegate; int8 in and out, converted untimed",
    ),
    _integer(
        "executorch",
        "executorch_int8",
        "XNNPACKQuantizer of PT2E, symmetric weights per channel, static activations; XnnpackPartitioner",
    ),
    _integer(
        "ncnn",
        "ncnn_int8",
        "int8 inference, ranges of largest magnitude; else as in float32",
    ),
    _integer(
        "mnn",
        "mnn_int8",
        "its offline quantizer with moving averages (version 3.6.1 crashes with KL and ADMM), which cuts off "
        "logits; MAX_ABS for weights; CPU back end, power high, session interface",
    ),
)
