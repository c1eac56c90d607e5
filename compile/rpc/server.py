# SPDX-License-Identifier: Apache-2.0
"""Runs on the device: TVM's own RPC server, kept up, and able to say what it runs on.

Needs Python 3.9 and the TVM runtime, and nothing else of this project: copy this one file to a board. TVM's
loop ends at the first kernel that crashes, while its process stays and looks healthy; this one goes on.
`mnc.device_report` tells a client what the device is and how the last session ended.
"""

import argparse
import contextlib
import ctypes
import json
import os
import platform
import re
import select
import signal
import socket
import struct
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # The compiler's library is not needed on a device, and may not be there.
    os.environ.setdefault("TVM_USE_RUNTIME_LIB", "1")

import numpy as np
import tvm
from tvm.rpc import base
from tvm.rpc import server as tvm_server

REPORT = "mnc.device_report"
SETUP_CACHES, PREPARE_CACHES = "mnc.device_setup_caches", "mnc.device_prepare_caches"
POOL_THREADS = "mnc.device_pool_threads"
PR_SET_PDEATHSIG = 1
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_STRANGERS, LONGEST_KEY = 64, 1024


class State:
    """What sessions tell of the server. Sessions are forks of it: each has the state at its start."""

    identity = uuid.uuid4().hex
    emulated = ""
    last_exit = 0  # exit code of the last session's process; negative: ended by that signal
    crashes = 0
    stream = np.zeros(0, np.int64)


def main() -> int:
    """Serve until ended by a signal."""
    args = _arguments()
    State.emulated = args.emulated
    if args.host not in LOOPBACK:
        print(
            f"warning: {args.host} is open to others, and RPC runs any code sent to it", flush=True
        )
    sock, port = listen(args.host, ports(args))
    if args.port_file:
        scratch = Path(args.port_file + ".new")
        scratch.write_text(str(port))
        scratch.replace(args.port_file)
    print(f"serving {args.key or 'any key'} on {args.host}:{port}", flush=True)
    serve(sock, port, args)
    return 0


def ports(args: argparse.Namespace) -> "list[int]":
    """Where to listen, best first: where the server was before, so that its address stays, if it can."""
    wanted = list(range(args.port, args.port_end))
    before = _text(args.port_file).strip() if args.port_file else ""
    return sorted(wanted, key=lambda port: str(port) != before)


def listen(host: str, ports: "list[int]") -> "tuple[socket.socket, int]":
    """A listening socket on the first of the ports that is free."""
    family = socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM)[0][0]
    for port in ports:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(8)
        except OSError:
            sock.close()
            continue
        return sock, port
    raise SystemExit(
        f"no free port in {min(ports)}..{max(ports)}; choose others with --port and --port-end"
    )


class Listener:
    """The listening socket as TVM's loop sees it, which reads a client's greeting without a limit: whoever
    connects and says nothing would keep everybody out. This one gives it clients whose greeting is all there.

    TVM selects on it and then accepts one. Where somebody has come, but none is ready, it gets nobody.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._events = sock, select.epoll()
        self._strangers: dict[int, tuple[socket.socket, Any]] = {}
        self._events.register(sock, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when somebody connects, or one who has says something."""
        return self._events.fileno()

    def accept(self) -> "tuple[socket.socket, Any]":
        """A client that has greeted, with its address; else one that TVM sends away."""
        with contextlib.suppress(OSError):
            for number, _ in self._events.poll(timeout=1.0, maxevents=1):
                if number == self._sock.fileno():
                    self._meet(*self._sock.accept())
                    continue
                greeted = has_greeted(self._strangers[number][0])
                if greeted:
                    return self._part(number)
                if greeted is False:
                    self._part(number)[0].close()
        return nobody()

    def _meet(self, client: socket.socket, address: Any) -> None:
        # The session of one that has died without a word ends after 25 s.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
        self._strangers[client.fileno()] = client, address
        self._events.register(client, select.EPOLLIN | select.EPOLLET)
        if len(self._strangers) > MOST_STRANGERS:
            self._part(next(iter(self._strangers)))[0].close()

    def _part(self, number: int) -> "tuple[socket.socket, Any]":
        self._events.unregister(number)  # a session's process has it open as well
        return self._strangers.pop(number)


def has_greeted(client: socket.socket) -> "bool | None":
    """Whether a greeting is all there: magic number, length, key. None: not yet; False: it never will be."""
    try:
        said = client.recv(8 + LONGEST_KEY, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return None
    except OSError:
        return False
    if not said or not struct.pack("<i", base.RPC_MAGIC).startswith(said[:4]):
        return False
    if len(said) < 8:
        return None
    (length,) = struct.unpack("<i", said[4:8])
    key = said[8 : 8 + max(length, 0)]
    if not 0 < length <= LONGEST_KEY or not key.isascii() or not b"client:".startswith(key[:7]):
        return False
    return True if len(key) == length else None


def nobody() -> "tuple[socket.socket, Any]":
    """A client that TVM sends away for its magic number."""
    client, other = socket.socketpair()
    other.sendall(bytes(4))
    other.close()
    return client, None


def serve(sock: socket.socket, port: int, args: argparse.Namespace) -> None:
    """TVM's listening loop, begun anew whenever a session's process has died."""
    home, listener = Path.cwd(), Listener(sock)
    tracker = None
    if args.tracker:
        host, _, number = args.tracker.rpartition(":")
        tracker = (host, int(number))
    while True:
        try:
            tvm_server._listen_loop(
                listener, port, args.key, tracker, None, args.custom_addr or None
            )
        except Exception as error:  # whatever ended it, a device that serves on is worth more
            print(f"the loop ended: {error}", flush=True)
            code = re.search(r"exited unsuccessfully with error code (-?\d+)", str(error))
            if code:
                State.last_exit = int(code[1])
                State.crashes += 1
            else:
                time.sleep(1.0)  # the tracker is gone for longer than TVM waits
        os.chdir(home)


def serve_session(sock: socket.socket, *rest: Any) -> None:
    """A session's process: TVM's, except that it does not outlive its client, in whatever it is stuck."""

    def watch() -> None:
        poll = select.poll()
        poll.register(sock, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
        poll.poll()
        time.sleep(0.5)  # TVM's own end comes first when it is not stuck
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    TVM_SERVE_LOOP(sock, *rest)


TVM_SERVE_LOOP = tvm_server._serve_loop


def report() -> str:
    """JSON: what this device is, now. Called in a session."""
    return json.dumps(
        {
            "identity": State.identity,
            "arch": platform.machine(),
            "cores": int(os.environ.get("MNC_CORES") or len(os.sched_getaffinity(0))),
            "tvm": tvm.__version__,
            "board": _text("/proc/device-tree/model").strip("\0\n ") or platform.node(),
            "emulated": State.emulated or _sign_of_emulation(),
            "last_exit": State.last_exit,
            "crashes": State.crashes,
            "features": features(),
            "celsius": _numbers("/sys/class/thermal", "thermal_zone*/temp", 1e-3),
            "mhz": _numbers("/sys/devices/system/cpu", "cpu[0-9]*/cpufreq/scaling_cur_freq", 1e-3),
            "max_mhz": _numbers(
                "/sys/devices/system/cpu", "cpu[0-9]*/cpufreq/cpuinfo_max_freq", 1e-3
            ),
        }
    )


def features() -> "list[str]":
    """What every core can do, as the kernel names it on ARM."""
    found = re.findall(r"^Features\s*:(.*)$", _text("/proc/cpuinfo"), re.MULTILINE)
    return sorted(set.intersection(*(set(line.split()) for line in found))) if found else []


def pool_threads(count: int) -> None:
    """How many threads the pools that TVM starts from now on have."""
    os.environ["TVM_NUM_THREADS"] = str(count)


def setup_caches(size: int) -> None:
    """How many bytes `prepare_caches` streams."""
    State.stream = np.ones(max(0, size) // 8, np.int64)


def prepare_caches(*buffers: Any) -> None:
    """Before a timed call: other layers' traffic, then all but the weights are touched."""
    if State.stream.size:
        State.stream.max()
    weights = max(range(len(buffers)), key=lambda i: len(buffers[i].shape))
    for number, buffer in enumerate(buffers):
        if number != weights:
            buffer.numpy()


def _sign_of_emulation() -> str:
    """An ARM process that finds an x86 machine's /proc is run by qemu-user."""
    arm = platform.machine().startswith(("aarch64", "arm"))
    return "qemu-user" if arm and "vendor_id" in _text("/proc/cpuinfo") else ""


def _numbers(folder: str, pattern: str, scale: float) -> "list[float]":
    texts = [_text(path).strip() for path in sorted(Path(folder).glob(pattern))]
    return [round(int(text) * scale, 1) for text in texts if text.lstrip("-").isdigit()]


def _text(path: "str | Path") -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _die_with_server() -> None:
    """A session's process ends with the server, however stuck it is."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="TVM's RPC server, kept up")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--port-end", type=int, default=9190)
    parser.add_argument("--port-file", help="file to write the port to, once listening")
    parser.add_argument("--tracker", help="HOST:PORT of the tracker to register with")
    parser.add_argument("--key", default="", help="the kind of device, such as rpi4")
    parser.add_argument("--custom-addr", help="address that the tracker gives to clients")
    parser.add_argument("--emulated", default="", help="what emulates this device, if anything")
    args = parser.parse_args()
    if args.tracker and not args.key:
        parser.error("--tracker needs --key")
    if args.port_end <= args.port:
        parser.error(
            "--port-end is the first port beyond those to try: give a larger one than --port"
        )
    return args


def register() -> None:
    """Make this process's sessions ours, and what they offer known to TVM."""
    tvm_server._serve_loop = serve_session
    os.register_at_fork(after_in_child=_die_with_server)
    tvm.register_func(REPORT, report)
    tvm.register_func(POOL_THREADS, pool_threads)
    tvm.register_func(SETUP_CACHES, setup_caches)
    tvm.register_func(PREPARE_CACHES, prepare_caches)


if __name__ == "__main__":
    register()
    sys.exit(main())
