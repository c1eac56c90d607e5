# SPDX-License-Identifier: Apache-2.0
"""How the threads of a freestanding library can do each kernel, found out when it is compiled.

Takes TVM's graph executor factory; gives one word for each kernel, which `kernels.write` keeps in the graph.
"""

from typing import Any, Literal

from tvm import tir

Way = Literal["shares", "alone", "forks"]
# What stands around a kernel's statements without doing anything: all threads may do it at once.
WRAPPERS = (tir.AttrStmt, tir.LetStmt, tir.AssertStmt, tir.DeclBuffer)


def ways(factory: Any) -> dict[str, Way]:
    """Each kernel's way, by name."""
    return {
        str(name): way(list(info.tir_primfuncs.values()))
        for name, info in factory.function_metadata.items()
        if str(name) != "__tvm_main__"
    }


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
