# SPDX-License-Identifier: Apache-2.0
"""The functions of TVM's runtime and of the C library that a kernel may call.

Takes a symbol's name; gives the number by which the interpreter knows the function: a call of it is a jump to
so many times `IMPORT_BYTES` from where the image has its imports.
"""

from enum import IntEnum

IMPORT_BYTES = 16


class Import(IntEnum):
    """What the interpreter answers."""

    RETURN = 0  # of the kernel
    SECTION_RETURN = 1  # of a task
    LAUNCH = 2
    BARRIER = 3
    ALLOC = 4
    FREE = 5
    ERROR = 6
    MEMSET = 7
    MEMCPY = 8
    LIBM = 9  # a function on floats: the call is counted, the work inside is not
    DIVIDE_S = 10
    DIVIDE_U = 11


_NAMES = {
    "TVMBackendParallelLaunch": Import.LAUNCH,
    "TVMBackendParallelBarrier": Import.BARRIER,
    "TVMBackendAllocWorkspace": Import.ALLOC,
    "TVMBackendFreeWorkspace": Import.FREE,
    "TVMAPISetLastError": Import.ERROR,
    "memset": Import.MEMSET,
    **dict.fromkeys(("memcpy", "memmove", "__aeabi_memcpy"), Import.MEMCPY),
    **dict.fromkeys(("__aeabi_idiv", "__aeabi_idivmod", "__divsi3"), Import.DIVIDE_S),
    **dict.fromkeys(("__aeabi_uidiv", "__aeabi_uidivmod", "__udivsi3"), Import.DIVIDE_U),
}
# Their values go into floats only.
_ON_FLOATS = frozenset(
    f"{name}{suffix}"
    for name in (
        "exp exp2 log log2 tanh sqrt floor ceil round trunc pow fmin fmax fabs erf sin cos fma".split()
    )
    for suffix in ("", "f")
)


def runtime_function(name: str) -> Import | None:
    """The function called `name`, None for one that no kernel of ours may call."""
    return _NAMES.get(name, Import.LIBM if name in _ON_FLOATS else None)
