# SPDX-License-Identifier: Apache-2.0
"""ncnn: packed layouts, light mode, float32 throughout; the network as pnnx converts it."""

from pathlib import Path

import ncnn
import numpy as np
from network import Network

POOLS = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()  # must outlive the network


def load(folder: Path, threads: int, *, fp16: bool = False) -> Network:
    """The .param and .bin files on `threads` threads, blob and workspace memory in pools."""
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.lightmode = True
    net.opt.use_packing_layout = True
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = fp16
    net.opt.use_bf16_storage = False
    net.opt.use_vulkan_compute = False
    net.opt.blob_allocator, net.opt.workspace_allocator = POOLS
    if net.load_param(str(folder / "model.ncnn.param")) or net.load_model(
        str(folder / "model.ncnn.bin")
    ):
        raise RuntimeError("ncnn cannot load the model")
    source, result = net.input_names()[0], net.output_names()[0]

    def call(image: ncnn.Mat) -> ncnn.Mat:
        extractor = net.create_extractor()
        extractor.input(source, image)
        return extractor.extract(result)[1]

    return Network(
        ncnn.__version__,
        call,
        prepare=lambda image: ncnn.Mat(np.ascontiguousarray(image[0])).clone(),
        finish=lambda mat: np.array(mat).reshape(1, -1),
    )
