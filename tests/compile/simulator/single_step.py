# SPDX-License-Identifier: Apache-2.0
"""The truth about a kernel on this machine's own x86-64 core: every instruction it executes, by ptrace.

`count` starts a process that calls the library's kernel, steps through that call, and gives how often each
instruction of the library ran. A few thousand steps a second.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

TRACE_ME, PEEK, PEEK_USER, POKE, POKE_USER, CONTINUE, SINGLE_STEP = 0, 2, 3, 5, 6, 7, 9
RIP, RSP = 16 * 8, 19 * 8  # in struct user
BREAKPOINT = 0xCC
Shapes = tuple[tuple[int, ...], ...]


def count(library: Path, shapes: Shapes) -> Counter[int]:
    """Executions of the library's instructions, by address in the library, in one call of its kernel."""
    command = [sys.executable, "-m", __name__, str(library), json.dumps(shapes)]
    env = os.environ | {"TVM_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TVM_USE_RUNTIME_LIB": "1"}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        first, last, entry = (int(word) for word in child.stdout.readline().split())
        traced = _Traced(child.pid)
        traced.expect(signal.SIGSTOP)
        traced.run_to(entry)
        counts = traced.step_to_return(first, last)
        traced.go(CONTINUE)
        child.returncode = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    assert child.returncode == 0
    return counts


class _Traced:
    """A stopped process."""

    def __init__(self, pid: int) -> None:
        self._libc, self._pid = _libc(), pid

    def go(self, how: int) -> None:
        self._libc.ptrace(how, self._pid, None, None)

    def expect(self, number: int) -> None:
        status = os.waitpid(self._pid, 0)[1]
        assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == number, status

    def run_to(self, address: int) -> None:
        word = self._libc.ptrace(PEEK, self._pid, address, None)
        self._libc.ptrace(POKE, self._pid, address, word & ~0xFF | BREAKPOINT)
        self.go(CONTINUE)
        self.expect(signal.SIGTRAP)
        self._libc.ptrace(POKE, self._pid, address, word)
        self._libc.ptrace(POKE_USER, self._pid, RIP, address)

    def step_to_return(self, first: int, last: int) -> Counter[int]:
        counts: Counter[int] = Counter()
        stack = self._libc.ptrace(PEEK_USER, self._pid, RSP, None)
        back = self._libc.ptrace(PEEK, self._pid, stack, None)
        while (here := self._libc.ptrace(PEEK_USER, self._pid, RIP, None)) != back:
            if first <= here < last:
                counts[here - first] += 1
            self.go(SINGLE_STEP)
            self.expect(signal.SIGTRAP)
        return counts


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return libc


def _called(library: str, shapes: Shapes) -> None:
    import numpy as np
    import tvm

    module = tvm.runtime.load_module(library)
    buffers = [tvm.nd.array(np.ones(shape, np.float32)) for shape in shapes]
    module.entry_func(*buffers)
    lines = [one.split() for one in Path("/proc/self/maps").read_text().splitlines()]
    ranges = [one[0].split("-") for one in lines if one[-1] == library]
    first, last = min(int(low, 16) for low, _ in ranges), max(int(high, 16) for _, high in ranges)
    loaded = ctypes.CDLL(library)
    entry = ctypes.cast(loaded.default_function, ctypes.c_void_p).value
    print(first, last, entry, flush=True)
    _libc().ptrace(TRACE_ME, 0, None, None)
    os.kill(os.getpid(), signal.SIGSTOP)
    module.entry_func(*buffers)
    os._exit(0)  # the tracer has let go


if __name__ == "__main__":
    _called(sys.argv[1], tuple(tuple(shape) for shape in json.loads(sys.argv[2])))
