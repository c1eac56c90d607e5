# SPDX-License-Identifier: Apache-2.0
"""The devices of a tracker, one row each: what the tracker knows, and what a free device says of itself.

Takes a tracker's address; gives `DeviceRow`s. Busy devices are left alone: what only they know is unknown.
"""

import contextlib

import msgspec

from mnc.compile.rpc import connection, tracker
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.connection import DeviceReport
from mnc.compile.rpc.tracker import Server, TrackerSummary
from mnc.support.errors import UserError

SESSION_SECONDS = 20.0  # a device ends a session of ours that got stuck
ANSWER_SECONDS = 10.0


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device. None where it was busy, and where TVM's stock server cannot say.

    `state` is "free", "busy" or "no answer"; `last_seen` is what that rests on, in words.
    """

    key: str
    where: str
    state: str
    arch: str | None = None
    cores: int | None = None
    tvm: str | None = None
    board: str | None = None
    emulated: str | None = None
    last_seen: str


def devices(address: tuple[str, int], *, ask: bool = True) -> tuple[DeviceRow, ...]:
    """Every device the tracker at `address` knows, by key; free ones are asked unless `ask` is False.

    UserError when there is no tracker.
    """
    known = tracker.summary(address)
    reports = _ask(address, known) if ask else {}
    return tuple(
        row
        for key in known.keys
        for row in _rows(
            key, [server for server in known.servers if server.key == key], known, reports
        )
    )


def _rows(
    key: str,
    servers: list[Server],
    known: TrackerSummary,
    reports: dict[str, DeviceReport | str | None],
) -> list[DeviceRow]:
    """The tracker counts free devices of a key without saying which: those that answered are among them."""
    asked = sum(tracker.text((server.host, server.port)) in reports for server in servers)
    all_free = known.free(key) >= len(servers)
    rows = []
    for server in servers:
        where = tracker.text((server.host, server.port))
        if where in reports:
            rows.append(_told(key, where, reports[where]))
            continue
        free = all_free or (asked == 0 and known.free(key) > 0 and len(servers) == 1)
        seen = "registered with the tracker now"
        rows.append(
            DeviceRow(key=key, where=where, state="free" if free else "busy", last_seen=seen)
        )
    return rows


def _told(key: str, where: str, report: DeviceReport | str | None) -> DeviceRow:
    if isinstance(report, str):
        return DeviceRow(key=key, where=where, state="no answer", last_seen=report)
    seen = "answered just now"
    if report is None:
        return DeviceRow(
            key=key, where=where, state="free", last_seen=f"{seen} (TVM's stock server)"
        )
    return DeviceRow(
        key=key,
        where=where,
        state="free",
        arch=connection.architecture(report),
        cores=report.cores,
        tvm=report.tvm,
        board=report.board,
        emulated=report.emulated,
        last_seen=seen,
    )


def _ask(address: tuple[str, int], known: TrackerSummary) -> dict[str, DeviceReport | str | None]:
    """Each free device's report, None where it has none, or why it did not answer.

    All of a key are held until each has been asked: the tracker gives out whichever is free.
    """
    found: dict[str, DeviceReport | str | None] = {}
    for key in known.keys:
        with contextlib.ExitStack() as held:
            for _ in range(known.free(key)):
                with contextlib.suppress(UserError):  # taken by someone else meanwhile
                    host, port, password = tracker.request(address, key, wait_seconds=1.0)
                    where = tracker.text((host, port))
                    found[where] = _report(Address(*address, key), host, port, password, held)
    return found


def _report(
    address: Address, host: str, port: int, password: str, held: contextlib.ExitStack
) -> DeviceReport | str | None:
    try:
        opened = connection.open_session(
            address,
            host,
            port,
            password,
            session_seconds=SESSION_SECONDS,
            connect_seconds=ANSWER_SECONDS,
        )
    except UserError as error:
        return str(error)
    held.enter_context(opened)
    return opened.report
