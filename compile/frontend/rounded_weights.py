# SPDX-License-Identifier: Apache-2.0
"""A program with its large weights as half precision has them, in float32, as a file that stores halves.

Takes a `Program`; gives one of the same layout.
"""

from dataclasses import replace
from typing import Any

from tvm import relay

from mnc.compile.frontend.expressions import replaced
from mnc.compile.frontend.importer import Program
from mnc.compile.toolchain import stored_weights


def rounded(program: Program) -> Program:
    """The program with constants that `stored_weights.is_halved` rounded."""

    def as_stored(node: Any, _: Any) -> Any:
        if not isinstance(node, relay.Constant):
            return None
        return relay.const(stored_weights.rounded(node.data.numpy()))

    return replace(program, mod=replaced(program.mod, as_stored))
