# SPDX-License-Identifier: Apache-2.0
"""Small tuning logs in both formats of published records, made up here: shapes and costs are nobody's."""

import json
from pathlib import Path
from typing import Any

SPATIAL: list[list[Any]] = [
    ["tile_co", "sp", [4, 4]],
    ["tile_oh", "sp", [8, 1]],
    ["tile_ow", "sp", [2, 4]],
    ["reorder_0", "re", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
    ["ann_reduce", "an", ["none", "unroll"]],
    ["ann_spatial", "an", ["none", "unroll", "vec"]],
]
DEPTHWISE: list[list[Any]] = [
    ["tile_c", "sp", [4, 4]],
    ["tile_h", "sp", [4, 2]],
    ["tile_w", "sp", [4, 2]],
    ["ann", "an", ["unroll", "none", "vec"]],
]
TARGET = "llvm -device=arm_cpu -model=rk3399 -mtriple=aarch64-linux-gnu -mattr=+neon"
OLD_TARGET = "llvm -device=arm_cpu -model=rk3399 -target=aarch64-linux-gnu"


def tensors(inputs: int, outputs: int, size: int, kernel: int, depth: int) -> list[Any]:
    """Data of `inputs` channels of `size` pixels, and weights."""
    data = ["TENSOR", [1, inputs, size, size], "float32"]
    return [data, ["TENSOR", [outputs, depth, kernel, kernel], "float32"]]


def new(args: list[Any], knobs: Any, seconds: float, name: str, target: str = TARGET) -> str:
    """A line of the later format."""
    config = {"index": 3, "code_hash": None, "entity": knobs}
    record = {"input": [target, name, args, {}], "config": config}
    return json.dumps({**record, "result": [[seconds], 0, 1.0, 1.5e9], "version": 0.2})


def old(args: list[Any], knobs: Any, seconds: float, name: str, kind: str = "direct") -> str:
    """A line of the format of 2018."""
    config = {"e": knobs, "t": kind, "c": None, "i": 3}
    record = [OLD_TARGET, name, args, {}, ["workload"], config]
    return json.dumps({"r": [[seconds], 0, 1.0, 1.5e9], "v": 0.1, "i": record})


def pointwise(seconds: float, knobs: Any = None, target: str = TARGET) -> str:
    args = [*tensors(16, 16, 8, 1, 16), [1, 1], [0, 0, 0, 0], [1, 1], "float32"]
    return new(args, knobs or SPATIAL, seconds, "conv2d_nchw_spatial_pack.arm_cpu", target)


def depthwise(seconds: float, target: str = TARGET) -> str:
    args = [*tensors(16, 16, 8, 3, 1), [1, 1], [1, 1, 1, 1], [1, 1], "float32"]
    return new(args, DEPTHWISE, seconds, "depthwise_conv2d_nchw.arm_cpu", target)


def old_pointwise(seconds: float, knobs: Any = None, kind: str = "direct") -> str:
    args = [*tensors(16, 16, 8, 1, 16), [1, 1], [0, 0], "NCHW", "float32"]
    return old(args, knobs or SPATIAL, seconds, "topi_nn_conv2d", kind)


def old_depthwise(seconds: float) -> str:
    args = [*tensors(16, 16, 8, 3, 1), [1, 1], [1, 1], [1, 1], "float32"]
    return old(args, DEPTHWISE, seconds, "topi_nn_depthwise_conv2d_nchw")


def other_tile(rows: int) -> list[Any]:
    """SPATIAL with another tile of rows."""
    return [["tile_oh", "sp", [8 // rows, rows]] if k[0] == "tile_oh" else k for k in SPATIAL]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
