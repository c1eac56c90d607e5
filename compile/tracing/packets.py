# SPDX-License-Identifier: Apache-2.0
"""Packets of words out of the emulator's pipe (stream.h), whole, in the order in which they were written."""

import fcntl
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mnc.compile.simulator.isa.packing import Array
from mnc.compile.tracing.emulator import Traced

DEFINITIONS = 0xFFFF  # the CPU whose packets describe code
PIPE_BYTES = 1 << 20
WORD = 8
PATIENCE_MS = 200


@dataclass(frozen=True)
class Packet:
    """What one virtual CPU did next, or descriptions of code."""

    cpu: int
    words: Array


def packets(of: Traced) -> Iterator[Packet]:
    """Until the program ends."""
    fcntl.fcntl(of.pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    left = b""
    for piece in _pieces(of):
        left += piece
        at = 0
        while at + WORD <= len(left):
            header = int.from_bytes(left[at : at + WORD], "little")
            cpu, size = header >> 32 & 0xFFFFFF, WORD * (header & 0xFFFFFFFF)
            if at + WORD + size > len(left):
                break
            yield Packet(cpu, np.frombuffer(left, "<u8", size // WORD, at + WORD))
            at += WORD + size
        left = left[at:]


def _pieces(of: Traced) -> Iterator[bytes]:
    poll = select.poll()
    poll.register(of.pipe, select.POLLIN)
    while True:
        if not poll.poll(PATIENCE_MS):
            if of.popen.poll() is not None:
                return
            continue
        piece = os.read(of.pipe, PIPE_BYTES)
        if not piece:
            return
        yield piece
