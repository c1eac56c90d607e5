# SPDX-License-Identifier: Apache-2.0
"""Stock TVM 0.19: the graph executor on the library that VARIANT names, as its tutorial runs it."""

import os
from pathlib import Path

import tvm
from network import Network
from tvm.contrib import graph_executor


def load(folder: Path, threads: int) -> Network:
    """stock.so (default schedules) or stock-tuned.so (AutoTVM's best)."""
    tvm.get_global_func("runtime.config_threadpool")(1, threads)
    library = tvm.runtime.load_module(str(folder / os.environ["VARIANT"]))
    module = graph_executor.GraphModule(library["default"](tvm.cpu(0)))

    def call(image: object) -> object:
        module.set_input("input", image)
        module.run()
        return module.get_output(0).numpy()

    return Network(tvm.__version__, call)
