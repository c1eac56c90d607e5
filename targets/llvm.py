# SPDX-License-Identifier: Apache-2.0
"""What the compiler's LLVM knows of CPUs: the host's name, and whether a target's `mcpu` exists.

Importing this module is cheap; its functions import tvm.
"""

import difflib
import functools

from mnc.support.errors import UserError
from mnc.targets.target import Target


@functools.cache
def host_cpu_name() -> str | None:
    """LLVM's reading of this CPU, None where TVM or its compiler is missing."""
    try:
        import tvm
    except (ImportError, OSError):
        return None
    ask = tvm.get_global_func("target.llvm_get_system_cpu", allow_missing=True)
    return None if ask is None else str(ask())


def check_cpu(target: Target) -> None:
    """Raise UserError when LLVM has no CPU called `target.mcpu` (it would build for another)."""
    import tvm
    from tvm.target import codegen

    bare = tvm.target.Target(f"llvm -mtriple={target.triple}")
    known = [str(name) for name in codegen.llvm_get_cpu_archlist(bare)]
    if target.mcpu in known:
        return
    close = difflib.get_close_matches(target.mcpu, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
    raise UserError(
        f"target {target.name}: LLVM knows no mcpu {target.mcpu!r} for {target.triple}; {hint}"
    )
