# SPDX-License-Identifier: Apache-2.0
"""Whose fault it was that a kernel was not measured on a device: its own, the device's, or the network's.

Takes what was being done, the device before and after, and what was said; gives a `Verdict`.
"""

import signal
import socket
import struct
import time
from dataclasses import dataclass
from typing import NamedTuple

from mnc.compile.measure.messages import Connected, Died, Failed, Outcome, RunJob, TimedOut
from mnc.compile.records.trial import Failure
from mnc.support import error_text

ATTEMPTS = 4  # on devices that fail, before a config is given up for now
POLL = 0.2  # seconds between greetings
# Signals by which a process dies of its own doing; any other was sent by someone else.
OWN_DEATHS = frozenset(-s for s in (signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGFPE,
                                    signal.SIGABRT, signal.SIGTRAP))  # fmt: skip
RPC_MAGIC, MISMATCH = 0xFF271, 0xFF273  # of TVM's RPC servers


@dataclass
class KernelWork:
    """A compiled kernel to measure; `attempts` on devices that failed, `suspected` if it may be to blame."""

    batch: int
    index: int
    run: RunJob
    attempts: int = 0
    timeouts: int = 0
    suspected: int = 0


class Verdict(NamedTuple):
    """The failure, a line that says more, and whether that is the end of it for the configuration."""

    error: Failure
    message: str
    final: bool


def by_device(work: KernelWork, message: str, *, suspect: bool = False) -> Verdict:
    """The device failed. The kernel is tried again elsewhere, unless it is suspected too often."""
    work.attempts += 1
    work.suspected += suspect
    if work.suspected >= ATTEMPTS - 1:
        return Verdict("crash", f"every device is lost in it, last: {message}", True)
    return Verdict("device", message, work.attempts >= ATTEMPTS)


def by_time(work: KernelWork, device: Connected, seconds: float, *, alive: bool) -> Verdict:
    """No answer in time, in a step that runs the kernel if the device is still `alive`."""
    where = place(device)
    if not alive:
        return by_device(work, f"{where} hangs: no answer in {seconds:g} s")
    message = f"the kernel took over {seconds:g} s"
    work.timeouts += 1
    if work.timeouts > 1:
        return Verdict("timeout", message, True)
    # A board that froze for a while looks the same: only the second time counts.
    return by_device(work, f"{where} answered late, or {message}")


def by_comparison(
    work: KernelWork, step: str, before: Connected, after: Connected, said: str
) -> Verdict:
    """By the device before and after a lost connection."""
    where = place(before)
    if (after.host, after.port) != (before.host, before.port) or not after.identity:
        return by_device(work, f"{where} was lost: {said}", suspect=step in ("call", "time"))
    if after.identity != before.identity:
        return by_device(work, f"{where} was restarted")
    if after.crashes == before.crashes:
        return by_device(work, f"{where} lost its connection: {said}")
    name = error_text.exit_name(after.last_exit)
    if after.last_exit in OWN_DEATHS or after.last_exit > 0:
        return Verdict("crash", f"the kernel died on the device: {name}", True)
    return by_device(work, f"the session on {where} was killed: {name}")


def place(device: Connected) -> str:
    """The device, in words."""
    return f"device {device.host}:{device.port}"


def answers(device: Connected, seconds: float) -> bool:
    """Whether the device's server takes connections again, by a greeting with a key that fits nobody."""
    end = time.monotonic() + seconds
    greeting = b"client:nobody"
    while (left := end - time.monotonic()) > 0:
        try:
            with socket.create_connection((device.host, device.port), timeout=left) as sock:
                sock.sendall(struct.pack("<ii", RPC_MAGIC, len(greeting)) + greeting)
                (code,) = struct.unpack("<i", sock.recv(4))
                return bool(code == MISMATCH)
        except (OSError, struct.error):
            pass  # not up yet, or gone
        time.sleep(min(POLL, max(0.0, end - time.monotonic())))
    return False


def words_of(outcome: Outcome) -> str:
    """What an outcome without a figure says."""
    if isinstance(outcome, Failed):
        return outcome.message
    if isinstance(outcome, TimedOut):
        return f"no answer in {outcome.seconds:g} s"
    return f"our process died: {outcome.cause}" if isinstance(outcome, Died) else "no device"
