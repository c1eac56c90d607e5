# SPDX-License-Identifier: Apache-2.0
"""How the threads of a freestanding library can do each kernel, found out when it is compiled.

Takes what TVM tells of the functions it compiled; gives one word for each kernel, which `kernel_object.write`
keeps in the graph.
"""

from collections.abc import Mapping
from typing import Any

from tvm import tir

from mnc.compile.toolchain.graph import Way

# What stands around a kernel's statements without doing anything: all threads may do it at once.
WRAPPERS = (tir.AttrStmt, tir.LetStmt, tir.AssertStmt, tir.DeclBuffer)


def ways(kernels: Mapping[str, Any]) -> dict[str, Way]:
    """The way of each kernel, by name; the kernels as TVM's FunctionInfo."""
    return {name: way(list(info.tir_primfuncs.values())) for name, info in kernels.items()}


def way(functions: list[Any]) -> Way:
    """Of a kernel that was compiled from these (one; anything else is left to the general case).

    It "shares" when it is one parallel loop and nothing else: each thread may call it and do a part.
    Without a parallel loop one thread does it "alone". Else it "forks": what stands before, between or
    after its parallel loops must happen once.
    """
    if len(functions) != 1:
        return "forks"
    body = functions[0].body
    while isinstance(body, WRAPPERS):
        body = body.body
    if _is_parallel(body):
        return "shares"
    return "forks" if _has_parallel(body) else "alone"


def _is_parallel(statement: Any) -> bool:
    return isinstance(statement, tir.For) and statement.kind == tir.ForKind.PARALLEL


def _has_parallel(body: Any) -> bool:
    found = False

    def look(node: Any) -> None:
        nonlocal found
        found = found or _is_parallel(node)

    tir.stmt_functor.post_order_visit(body, look)
    return found
