# SPDX-License-Identifier: Apache-2.0
"""TVM's own tracker: starting one, and asking one what it knows, with a limit on every wait.

Takes a host and a port; gives a `Tracker` that is stopped with this process, or a `TrackerSummary`.
A tracker that is not there is a UserError.
"""

import logging
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from tvm.rpc import base

from mnc.compile.rpc.address import HOST, PORT, bracketed, warning
from mnc.compile.rpc.daemon import Daemon
from mnc.support.errors import UserError

logger = logging.getLogger(__name__)

PORTS = 100  # how many to try from the first on
ANSWER_SECONDS = 10.0  # a network may be slow; a tracker that takes longer is not there


class Queue(msgspec.Struct, frozen=True):
    """Devices of one key that wait for work, and clients that wait for a device."""

    free: int
    pending: int


class Server(msgspec.Struct, frozen=True):
    """A registered device: its key and where it listens."""

    key: str
    host: str
    port: int


class TrackerSummary(msgspec.Struct, frozen=True):
    """All that a tracker knows."""

    servers: tuple[Server, ...]
    queues: dict[str, Queue]

    def count(self, key: str) -> int:
        """Devices of `key`, free or busy."""
        return sum(server.key == key for server in self.servers)

    def free(self, key: str) -> int:
        """Devices of `key` that wait for work."""
        return self.queues[key].free if key in self.queues else 0

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key with a device."""
        return tuple(sorted({server.key for server in self.servers}))


class Tracker(Daemon):
    """TVM's tracker in a process of its own, started again when it dies."""

    def __init__(self, host: str, port: int) -> None:
        command = [sys.executable, "-P", "-m", "tvm.exec.rpc_tracker", "--silent", f"--host={host}"]
        super().__init__("the tracker", [*command, f"--port={port}", f"--port-end={port + 1}"])
        self.host, self.port = host, port

    @property
    def address(self) -> tuple[str, int]:
        """Where devices and clients find it."""
        return ("127.0.0.1" if self.host == "0.0.0.0" else self.host), self.port

    def __str__(self) -> str:
        return f"{bracketed(self.address[0])}:{self.port}"


def start_tracker(*, host: str = HOST, port: int = PORT) -> Tracker:
    """A tracker on the first free port from `port` on, up and answering.

    Logs a warning when `host` is open to other machines. UserError when it does not start.
    """
    if (words := warning(host)) is not None:
        logger.warning("%s", words)
    tracker = Tracker(host, _free_port(host, port))
    tracker.wait_until(lambda: answers(tracker.address), seconds=60.0)
    return tracker


@contextmanager
def found_or_started(*, host: str = HOST) -> Iterator[tuple[str, int]]:
    """The address of the tracker at the usual place here; where there is none, of one that ends with this."""
    if answers((HOST, PORT)):
        yield HOST, PORT
        return
    with start_tracker(host=host) as started:
        logger.info("tracker at %s", started)
        yield started.address


def answers(address: tuple[str, int], *, seconds: float = 1.0) -> bool:
    """Whether a TVM tracker is at `address`."""
    try:
        with connection(address, seconds=seconds):
            return True
    except UserError:
        return False


def summary(address: tuple[str, int], *, seconds: float = ANSWER_SECONDS) -> TrackerSummary:
    """What the tracker knows now; UserError when there is none."""
    with connection(address, seconds=seconds) as sock, _told(address):
        base.sendjson(sock, [base.TrackerCode.SUMMARY])
        _, known = base.recvjson(sock)
    return _summary(known)


@contextmanager
def connection(
    address: tuple[str, int], *, seconds: float = ANSWER_SECONDS
) -> Iterator[socket.socket]:
    """A socket past the tracker's greeting, each step of it bounded by `seconds`."""
    with _told(address):
        sock = socket.create_connection(address, timeout=seconds)
    with sock:
        with _told(address):
            sock.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
            if struct.unpack("<i", base.recvall(sock, 4))[0] != base.RPC_TRACKER_MAGIC:
                raise ValueError
        yield sock


def request(
    address: tuple[str, int], key: str, *, wait_seconds: float, priority: int = 1
) -> tuple[str, int, str]:
    """A free device of `key`: (host, port, password of this one session).

    Waits up to `wait_seconds` while all are busy. UserError when none came, when the
    tracker knows no such device, or when it is not there.
    """
    known = summary(address)
    check_known(known, address, key)
    end = time.monotonic() + wait_seconds
    with connection(address) as sock:
        sock.settimeout(max(0.1, end - time.monotonic()))
        try:
            base.sendjson(sock, [base.TrackerCode.REQUEST, key, "", priority])
            code, value = base.recvjson(sock)
        except TimeoutError:
            raise UserError(
                f"no {key} became free in {wait_seconds:g} s ({known.count(key)} known, all busy); try "
                "later, or see who uses them with `mnc device list`"
            ) from None
        except (OSError, ValueError) as error:
            raise _gone(address, error) from None
    if code != base.TrackerCode.SUCCESS:
        raise UserError(f"the tracker at {text(address)} refused the request for {key}; try again")
    host, port, password = value
    return str(host), int(port), str(password)


def check_known(known: TrackerSummary, address: tuple[str, int], key: str) -> None:
    """UserError unless the tracker has a device of `key`."""
    if known.count(key):
        return
    others = f"it has {', '.join(known.keys)}" if known.keys else "it has none at all"
    raise UserError(
        f"the tracker at {text(address)} has no device {key!r}, {others}; start a virtual one with "
        f"`mnc device start`, or connect one (`mnc device enroll`)"
    )


def text(address: tuple[str, int]) -> str:
    """HOST:PORT."""
    return f"{bracketed(address[0])}:{address[1]}"


@contextmanager
def _told(address: tuple[str, int]) -> Iterator[None]:
    """Turn what a socket says into what a person can act on."""
    where = text(address)
    try:
        yield
    except TimeoutError:
        raise UserError(f"no answer from {where}; check the address and the network") from None
    except ConnectionRefusedError:
        raise UserError(
            f"no tracker at {where}; start a board with one (`mnc device start`), or a tracker alone: "
            f"python -m tvm.exec.rpc_tracker --host {address[0]} --port {address[1]}"
        ) from None
    except socket.gaierror:
        raise UserError(f"no host is called {address[0]!r}; check the address") from None
    except (OSError, ValueError) as error:
        raise _gone(address, error) from None


def _gone(address: tuple[str, int], error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or "it does not answer as TVM's tracker does"
    return UserError(
        f"{text(address)} is no tracker, or has just gone: {reason}; check the address"
    )


def _summary(known: Any) -> TrackerSummary:
    servers = [
        Server(str(one["key"]).removeprefix("server:"), str(one["addr"][0]), int(one["addr"][1]))
        for one in known["server_info"]
    ]
    queues = {
        key: Queue(int(q["free"]), int(q["pending"])) for key, q in known["queue_info"].items()
    }
    return TrackerSummary(tuple(sorted(servers, key=lambda s: (s.key, s.host, s.port))), queues)


def _free_port(host: str, first: int) -> int:
    for port in range(first, first + PORTS):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((host, port))
            except OSError:
                continue
            return port
    raise UserError(f"no free port from {first} on at {host}; choose another with --port")
