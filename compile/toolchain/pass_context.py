# SPDX-License-Identifier: Apache-2.0
"""TVM set up the way this project needs it.

Gives `pass_context()`, the one PassContext that every build of ours runs under.
"""

import functools
from typing import Any

import tvm
from tvm import support
from tvm._ffi._ctypes import packed_func
from tvm.relay.backend import te_compiler

from mnc.compile.templates import bias_first, stacked, store_first
from mnc.compile.toolchain import nan_propagation

# At every extent of every shape TVM asks how it was built, which is a table made anew: 0.5 of the 4 s that a
# MobileNet takes to compile.
te_compiler.libinfo = functools.cache(support.libinfo)

# Of what Python code raises that TVM has called, TVM hands on what is an `Exception`, a name of that module.
# Ctrl-C is none: ctypes printed a traceback, dropped it, and TVM went on without what the code was to give.
packed_func.Exception = BaseException

# They find nothing in networks in our layout, and took a third of the time to compile one: TVM infers all
# types for each of two dozen patterns.
_NOTHING_TO_DO = ("SimplifyExpr", "SimplifyExprPostAlterOp", "qnn.Legalize")


def pass_context(*, blocked: bool = False) -> Any:
    """The PassContext of every build: for a kernel, for a network, on the host and across. `blocked` says
    that a network is in our layout, where some of Relay's passes find nothing.

    TIR's common-subexpression pass is off: it binds vectors to variables, for which TVM 0.19 writes debug
    records that LLVM 22's verifier refuses ("location of #dbg_declare must be a pointer or int"), so that
    good candidates would fail to compile. LLVM finds the common subexpressions itself.

    Kernels do not check their arguments: shapes are fixed when a network is compiled, and the checks with
    their messages are four fifths of the code (560 of 690 KB for MobileNet v1 0.25-128).

    Maxima and minima propagate NaN. Sums that are made by assembly start from their bias, or are stored
    in 8 bits there; what small tiles of it read is on the stack.
    """
    config = {
        "tir.disable_cse_tir": True,
        "tir.disable_assert": True,
        "tir.add_lower_pass": [
            (1, bias_first.PASS),
            (1, store_first.PASS),
            (3, stacked.PASS),
            (3, nan_propagation.PASS),
        ],
    }
    left_out = _NOTHING_TO_DO if blocked else ()
    return tvm.transform.PassContext(opt_level=3, config=config, disabled_pass=left_out)
