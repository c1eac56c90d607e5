# SPDX-License-Identifier: Apache-2.0
"""A program's own function of numpy arrays, on this machine: for want of another one's outputs."""

import tvm
from tvm.contrib import graph_executor

from mnc.compile.codegen import network
from mnc.compile.codegen.network import Built
from mnc.model.reference import Array, Reference
from mnc.targets import load


def own_reference(built: Built, *, family: str) -> Reference:
    """The program compiled for this machine with default kernels. UserError where its CPU is not known."""
    factory = network.with_default_kernels(built.program, load("host"), family=family)
    graph = graph_executor.GraphModule(factory["default"](tvm.cpu()))

    def run(*inputs: Array) -> tuple[Array, ...]:
        for number, array in enumerate(inputs):
            graph.set_input(number, array)
        graph.run()
        return tuple(graph.get_output(i).numpy() for i in range(graph.get_num_outputs()))

    return Reference("mnc", run)
