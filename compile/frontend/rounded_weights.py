# SPDX-License-Identifier: Apache-2.0
"""A program with its large weights as half precision has them, in float32, as a file that stores halves.

Takes a `Program`; gives one of the same layout.
"""

from dataclasses import replace
from typing import Any

import tvm
from tvm import relay

from mnc.compile.frontend.expressions import rebuilt
from mnc.compile.frontend.importer import Program
from mnc.compile.toolchain import stored_weights


def rounded(program: Program) -> Program:
    """The program with constants that `stored_weights.is_halved` rounded."""
    new: dict[Any, Any] = {}

    def visit(node: Any) -> None:
        if isinstance(node, relay.Constant):
            new[node] = relay.const(stored_weights.rounded(node.data.numpy()))
        else:
            new[node] = rebuilt(node, new.__getitem__)

    main = program.mod["main"]
    relay.analysis.post_order_visit(main.body, visit)
    function = relay.Function(main.params, new[main.body])
    return replace(program, mod=relay.transform.InferType()(tvm.IRModule.from_expr(function)))
