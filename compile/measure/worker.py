# SPDX-License-Identifier: Apache-2.0
"""A measuring process: `python -m compile.measure.worker compile|run|device|simulate`.

Takes one JSON job a line on standard input and answers each with one JSON line on standard output.
Ends with its parent: at the end of its input when idle, by a signal from the kernel when busy.
"""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from compile.measure.messages import Failed, Job, Reply

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve jobs until standard input ends."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = take_stdout()
    perform = _role(sys.argv[1])
    gc.freeze()  # what was imported stays: no use in going through it again and again
    _answer(answers, b'"ready"')
    decoder, encoder = msgspec.json.Decoder(Job), msgspec.json.Encoder()
    for line in sys.stdin.buffer:
        _answer(answers, encoder.encode(perform(decoder.decode(line))))


def die_with_parent() -> None:
    """Ask Linux for SIGKILL when the parent dies, however busy or stuck this process is."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(os.environ.get("MNC_PARENT", os.getppid())):
        os._exit(1)  # it died before the line above


def take_stdout() -> BinaryIO:
    """Keep standard output for answers; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def first_line(error: BaseException) -> str:
    """The line of an exception that says what was wrong; TVM puts a stack trace before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    said = [
        line for line in lines if line.startswith(("TVMError:", "InternalError:", "Check failed"))
    ]
    return (said[-1] if said else lines[0])[:300]


def _role(name: str) -> Callable[[Job], Reply]:
    # Each role imports only what it needs: the runner has no compiler in it and starts at once.
    if name == "compile":
        from compile.measure import compiling

        return compiling.perform
    if name == "device":
        from compile.measure import device_running

        return device_running.perform
    if name == "simulate":
        from compile.measure import simulating

        return simulating.perform
    from compile.measure import running

    return running.perform


def _answer(answers: BinaryIO, line: bytes) -> None:
    answers.write(line + b"\n")


def failed(kind: str, error: BaseException) -> Failed:
    """The answer for an exception."""
    return Failed(error=kind, message=first_line(error))


if __name__ == "__main__":
    main()
