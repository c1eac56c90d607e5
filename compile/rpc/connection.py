# SPDX-License-Identifier: Apache-2.0
"""A session on a device: asked of a tracker, every step with a limit and a cause when it fails.

Takes an `Address`; gives a `Connection` to upload and run on. All that can go wrong with a device, from a
tracker that is not there to a board that freezes in a call, is a UserError.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
import tvm
from tvm import rpc

from mnc.compile.rpc import server_names, tracker
from mnc.compile.rpc.address import Address, Cores
from mnc.compile.toolchain.cpu_features import MACHINES
from mnc.support import error_text
from mnc.support.closing import Closing
from mnc.support.errors import UserError

logger = logging.getLogger(__name__)

T = TypeVar("T")
# TVM's AffinityMode. Binding by speed, "all" begins with the big ones.
AFFINITY: dict[Cores, int] = {"big": 1, "little": -1, "all": 1}
CONNECT_SECONDS = 30.0
CALL_SECONDS = 300.0
CLOSE_SECONDS = 5.0
ATTEMPTS = 3


class DeviceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a device that runs our server says of itself. Clocks are MHz, one a core, where exposed.

    `emulated` names what emulates it, "" for a real one. `last_exit` is the exit code of the last session
    that ended badly (negative: by that signal), `crashes` how many did.
    """

    identity: str
    arch: str
    cores: int
    tvm: str
    board: str = ""
    emulated: str = ""
    last_exit: int = 0
    crashes: int = 0
    features: tuple[
        str, ...
    ] = ()  # of every core, in the kernel's words; empty where it lists none
    celsius: tuple[float, ...] = ()
    mhz: tuple[float, ...] = ()
    max_mhz: tuple[float, ...] = ()

    @property
    def climate(self) -> str:
        """Temperature and clock, for people."""
        heat = f"{max(self.celsius):.0f} °C" if self.celsius else "temperature not exposed"
        clock = f"{max(self.mhz):.0f} MHz" if self.mhz else "clock not exposed"
        return f"{heat}, {clock}"


class Connection(Closing):
    """A device that is ours until `close`. Use as a context manager.

    `report` is None on a device that runs TVM's stock server, which can say nothing of itself.
    """

    def __init__(self, remote: Any, address: Address, where: str) -> None:
        self.remote, self.address, self.where = remote, address, where
        self._releases: list[Callable[[], None]] = []
        self._given_up: list[Pending[Any]] = []
        self.cpu = remote.cpu(0)
        self.report = self.ask()

    def ask(self) -> DeviceReport | None:
        """The device's report as it is now."""
        try:
            function = self.remote.get_function(server_names.REPORT)
        except AttributeError:
            return None
        text = self.call(function, seconds=CONNECT_SECONDS)
        try:
            return msgspec.json.decode(str(text), type=DeviceReport)
        except msgspec.MsgspecError as error:
            raise UserError(
                f"{self} gives a damaged report ({error}); restart its server"
            ) from None

    def call(self, function: Callable[[], T], *, seconds: float = CALL_SECONDS) -> T:
        """`function()`, which uses the device; UserError when that fails or takes over `seconds`."""
        pending = Pending(function)
        try:
            return pending.result(seconds)
        except UserError:
            raise
        except TimeoutError:
            self._given_up.append(pending)
            raise UserError(
                f"{self} gave no answer in {seconds:g} s: it hangs, or its network is gone; restart it"
            ) from None
        except Exception as error:
            reason = error_text.of_exception(error)
            raise UserError(f"{self} failed: {reason}; see its server's log") from None

    def use_threads(self, count: int | None, *, cores: Cores = "big") -> int | None:
        """Set how many threads kernels use, on cores of which class; None: all of the class.

        Returns the number, None where only the device knows. UserError when it has fewer cores.
        """
        if count is not None and count < 1:
            raise UserError(f"{count} threads were asked for; give 1 or more")
        most = self.report.cores if self.report is not None else None
        if count is not None and most is not None and count > most:
            raise UserError(f"{count} threads were asked for; {self} has {most} core(s)")
        wanted = most if count is None and cores == "all" else count
        configure = self.remote.get_function("runtime.config_threadpool")
        self.call(lambda: configure(AFFINITY[cores], wanted or 0), seconds=CONNECT_SECONDS)
        return wanted

    def pool_threads(self, count: int | None) -> None:
        """How many threads TVM's pool over there is made with, if called before anything has used it.

        The profiler starts the pool anew, with all its threads, whatever `use_threads` has said since.
        Without our server the device's own default stays.
        """
        if count is not None and self.report is not None:
            function = self.remote.get_function(server_names.POOL_THREADS)
            self.call(lambda: function(count), seconds=CONNECT_SECONDS)

    def close(self) -> None:
        """Give the device back; safe to call twice, and on a device that is gone. While a call that was given
        up is still at work, the session ends after it.
        """
        remote = self.remote
        # TVM has room for 32 sessions in a process, and one is there until nothing on the device is held.
        self.remote = self.cpu = None
        if remote is None:
            return

        def end() -> None:
            # TVM closes a session under a call that is in it, which then crashes this process.
            while self._given_up:
                self._given_up.pop().wait()
            # What is freed after the connection has gone makes TVM complain from a destructor.
            while self._releases:
                with contextlib.suppress(Exception):
                    self._releases.pop()()
            remote.get_function("CloseRPCConnection")()

        with contextlib.suppress(Exception):
            within(CLOSE_SECONDS, end)

    def on_close(self, release: Callable[[], None]) -> None:
        """Have `release` free what it holds on the device before the session ends."""
        self._releases.append(release)

    def __str__(self) -> str:
        return f"device {self.address.key} ({self.where})"


def architecture(report: DeviceReport) -> str:
    """ "x86_64", "aarch64" or "arm", or what the device's kernel calls any other."""
    return MACHINES.get(report.arch, report.arch)


def connect(
    address: Address,
    *,
    wait_seconds: float = 60.0,
    session_seconds: float = 0.0,
) -> Connection:
    """A session on a free device of `address.key`, waiting up to `wait_seconds` while all are busy.

    The device ends it by itself after `session_seconds` (0: never). UserError, naming the cause.
    """
    left = ATTEMPTS
    while True:
        _log_a_wait(address, wait_seconds)
        host, port, password = tracker.request(
            address.tracker, address.key, wait_seconds=wait_seconds
        )
        try:
            return open_session(address, host, port, password, session_seconds=session_seconds)
        except UserError as error:  # it may have died since it registered: the next may be well
            logger.info("%s", error)
            left -= 1
            if not left or not _another(address):
                raise


def open_session(
    address: Address,
    host: str,
    port: int,
    password: str,
    *,
    session_seconds: float = 0.0,
    connect_seconds: float = CONNECT_SECONDS,
) -> Connection:
    """A session on the device that a tracker has given out; UserError when it does not answer."""
    _keep_quiet_about_gone_devices()
    where = tracker.text((host, port))
    try:
        remote = within(connect_seconds, lambda: rpc.connect(host, port, password, session_seconds))
    except TimeoutError:
        raise UserError(
            f"device {address.key} at {where} is registered but did not answer in {connect_seconds:g} s: it "
            "hangs, or this machine cannot reach it; restart it, or check the network"
        ) from None
    except Exception as error:
        reason = error_text.of_exception(error)
        raise UserError(
            f"device {address.key} at {where} is registered but cannot be used: {reason}; if it "
            "is on another network, give its server --custom-addr with an address reachable from here"
        ) from None
    return Connection(remote, address, where)


class Pending(Generic[T]):
    """`function()` in a thread of its own. TVM's sockets wait for ever: a call that is given up stays behind
    in its thread, which holds up nothing.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._outcome: list[tuple[bool, Any]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, seconds: float) -> T:
        """What it gives or raises; TimeoutError when it is not done in time."""
        self._thread.join(seconds)
        if not self._outcome:
            raise TimeoutError(f"no answer in {seconds:g} s")
        done, value = self._outcome[0]
        if not done:
            raise value
        return value  # type: ignore[no-any-return]

    def wait(self) -> None:
        """Until it has ended, however."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._outcome.append((True, self._function()))
        except BaseException as error:
            self._outcome.append((False, error))


def within(seconds: float, function: Callable[[], T]) -> T:
    """`function()`; TimeoutError when it is not done in time."""
    return Pending(function).result(seconds)


def _keep_quiet_about_gone_devices() -> None:
    """Freeing what was on a device that is gone is no error, though TVM raises one in a destructor."""
    before = sys.unraisablehook
    if getattr(before, "about_devices", False):
        return

    def hook(args: "sys.UnraisableHookArgs") -> None:
        if not (
            isinstance(args.exc_value, tvm.TVMError) and "rpc_endpoint.cc" in str(args.exc_value)
        ):
            before(args)

    hook.about_devices = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook


def _log_a_wait(address: Address, wait_seconds: float) -> None:
    """Say so before a wait in which nothing happens."""
    known = tracker.summary(address.tracker)
    count = known.count(address.key)
    if count and not known.free(address.key):
        logger.info(
            "every %s is busy (%d of them); waiting up to %g s", address.key, count, wait_seconds
        )


def _another(address: Address) -> bool:
    """Whether the tracker still knows a device of that key, a moment later."""
    time.sleep(0.5)
    with contextlib.suppress(UserError):
        return tracker.summary(address.tracker).count(address.key) > 0
    return False
