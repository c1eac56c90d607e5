# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C that ends a command wherever it comes.

Python prints and drops what is raised in a finalizer, in the callback of a weak reference and where a C
library calls Python: there Ctrl-C waits for a moment.
"""

import itertools
import signal
from collections.abc import Iterator
from types import CodeType, FrameType

MOMENT = 0.01  # seconds
NEAR = 3  # frames that such code is away at most
DROPPING = ("/weakref.py", "/_weakrefset.py", "/tvm/_ffi/_ctypes/packed_func.py")


def watch() -> None:
    """From now on, unless whoever started this process has it ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        signal.signal(signal.SIGALRM, _interrupt)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """As Python's own handler, in a moment where its KeyboardInterrupt would be dropped."""
    if any(map(_is_dropped_in, itertools.islice(_outwards(frame), NEAR))):
        signal.setitimer(signal.ITIMER_REAL, MOMENT)
        return
    raise KeyboardInterrupt


def _is_dropped_in(code: CodeType) -> bool:
    return code.co_name == "__del__" or code.co_filename.endswith(DROPPING)


def _outwards(frame: FrameType | None) -> Iterator[CodeType]:
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back
