# SPDX-License-Identifier: Apache-2.0
"""The virtual board: TVM's RPC server of another architecture, under qemu-user, registered with a tracker.

Takes a `Target`; gives a `Board` that is gone, with all its processes and files, when its owner is. What it
computes is exact; how long that takes says nothing about a real core, and it says so itself.
"""

import logging
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mnc.compile.rpc import rootfs
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import HOST, bracketed, checked_key, warning
from mnc.compile.rpc.registered import RegisteredServer
from mnc.compile.rpc.rootfs import Root
from mnc.support.errors import UserError
from mnc.targets import Target

logger = logging.getLogger(__name__)

SERVER = Path(__file__).with_name("server.py")


class Board(RegisteredServer):
    """One virtual board, kept up: when its server dies it boots again, as a board with power would."""

    def __init__(
        self,
        root: Root,
        target: Target,
        *,
        tracker: tuple[str, int] | None,
        key: str,
        cores: int,
        cpu: str,
        host: str,
    ) -> None:
        arguments = [
            "-S",
            "-P",
            str(SERVER),
            f"--host={host}",
            f"--key={key}",
        ]
        arguments += [f"--emulated=qemu-{target.arch} -cpu {cpu}"]
        if tracker is not None:
            arguments += [
                f"--tracker={trackers.text(tracker)}",
                f"--custom-addr={_reachable(host)}",
            ]
        command = root.command(root.python, *arguments, cpu=cpu)
        super().__init__(
            f"the virtual board {key}",
            command,
            tracker=tracker,
            key=key,
            environment=_environment(root, cores),
        )
        self.host, self.cores, self.cpu = host, cores, cpu


def start_board(
    target: Target,
    *,
    tracker: tuple[str, int] | None = None,
    key: str | None = None,
    cores: int = 1,
    cpu: str | None = None,
    host: str = HOST,
) -> Board:
    """A virtual board for `target`, up and known to the tracker at `tracker` (None: to none).

    `key` is the target's name by default, `cpu` its `mcpu` where qemu knows that, else "max". Logs which
    packages are fetched, and warns of a `host` open to others. UserError when it cannot be had.
    """
    if not 1 <= cores <= 64:
        raise UserError(f"a virtual board has 1 to 64 cores, not {cores}")
    if (words := warning(host)) is not None:
        logger.warning("%s", words)
    if tracker is not None:
        trackers.summary(tracker)  # a clear error now rather than a board that waits
    root = rootfs.root(target.arch)
    board = Board(
        root,
        target,
        tracker=tracker,
        key=checked_key(key or target.name),
        cores=cores,
        cpu=_cpu(root, cpu, target),
        host=host,
    )
    board.wait_until_registered()
    return board


@contextmanager
def running_boards(
    target: Target,
    *,
    tracker: tuple[str, int] | None = None,
    key: str | None = None,
    count: int = 1,
    cores: int = 1,
    cpu: str | None = None,
    host: str = HOST,
) -> Iterator[list[Board]]:
    """`count` boards as `start_board` makes them, known to `tracker`, or to the one found or started here."""
    with ExitStack() as open_ones:
        place = tracker or open_ones.enter_context(trackers.found_or_started(host=host))
        boards = []
        for _ in range(count):
            began = time.monotonic()
            board = start_board(target, tracker=place, key=key, cores=cores, cpu=cpu, host=host)
            boards.append(open_ones.enter_context(board))
            logger.info(
                "%s is up after %.1f s (%s, %d core(s), emulated)",
                board.address,
                time.monotonic() - began,
                board.cpu,
                cores,
            )
        yield boards


def _cpu(root: Root, wanted: str | None, target: Target) -> str:
    # qemu lists them and exits with status 1.
    done = subprocess.run([root.qemu, "-cpu", "help"], capture_output=True, text=True, check=False)
    known = [line.strip() for line in done.stdout.splitlines() if line.startswith(" ")]
    if wanted is None:
        return target.mcpu if target.mcpu in known else "max"
    if wanted not in known:
        raise UserError(
            f"qemu has no {target.arch} CPU {wanted!r}; choose one of {', '.join(known)}"
        )
    return wanted


def _environment(root: Root, cores: int) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": root.python_path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TVM_USE_RUNTIME_LIB": "1",
        "TVM_NUM_THREADS": str(cores),
        "TVM_BIND_THREADS": "0",  # the cores are shared with this machine's other work
        "MNC_CORES": str(cores),
    }


def _reachable(host: str) -> str:
    return HOST if host == "0.0.0.0" else bracketed(host).strip("[]")
