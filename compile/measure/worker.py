# SPDX-License-Identifier: Apache-2.0
"""A measuring process: `python -m mnc.compile.measure.worker compile|run|device|simulate`.

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

from mnc.compile.measure.messages import Job, Reply

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


def _role(name: str) -> Callable[[Job], Reply]:
    # Each role imports only what it needs: the runner has no compiler in it and starts at once.
    if name == "compile":
        from mnc.compile.measure import compile_worker

        return compile_worker.perform
    if name == "device":
        from mnc.compile.measure import device_worker

        return device_worker.perform
    if name == "simulate":
        from mnc.compile.measure import simulate_worker

        return simulate_worker.perform
    from mnc.compile.measure import run_worker

    return run_worker.perform


def _answer(answers: BinaryIO, line: bytes) -> None:
    answers.write(line + b"\n")


if __name__ == "__main__":
    main()
