# SPDX-License-Identifier: Apache-2.0
"""Where devices are: `rpc://HOST:PORT/KEY`, a tracker and the kind of device to ask it for.

Takes the text a user gives; gives an `Address`, or a UserError that shows the form.
"""

import re
from typing import Literal

import msgspec

from mnc.support.errors import UserError

Cores = Literal["big", "little", "all"]  # a class of a device's cores
PORT = 9190  # TVM's own default for trackers
HOST = "127.0.0.1"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
FORM = re.compile(
    r"rpc://(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]+)(:(?P<port>\d+))?(/(?P<key>[^/]*))?"
)
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # TVM splits keys at colons and spaces


class Address(msgspec.Struct, frozen=True):
    """A tracker's host and port, and a device's key."""

    host: str
    port: int
    key: str

    def __str__(self) -> str:
        return f"rpc://{bracketed(self.host)}:{self.port}/{self.key}"

    @property
    def tracker(self) -> tuple[str, int]:
        """As Python's sockets take it."""
        return self.host, self.port


def parse(text: str, *, key: str | None = None) -> Address:
    """The address in `text`; `key` serves where it names none. UserError when it is no address."""
    match = FORM.fullmatch(text.strip())
    example = f"give rpc://HOST:PORT/KEY, such as rpc://{HOST}:{PORT}/{key or 'rpi4'}"
    if match is None:
        raise UserError(f"{text!r} is no device address; {example}")
    port = int(match["port"] or PORT)
    if not 1 <= port <= 65535:
        raise UserError(f"{text!r} has no valid port; {example}")
    found = match["key"] or key
    if not found:
        raise UserError(f"{text!r} names no device; {example}")
    return Address(match["host"].strip("[]"), port, checked_key(found))


def parse_tracker(text: str) -> tuple[str, int]:
    """HOST:PORT, HOST or an rpc:// address as (host, port)."""
    plain = text.strip()
    address = parse(plain if plain.startswith("rpc://") else f"rpc://{plain}", key="any")
    return address.tracker


def checked_key(key: str) -> str:
    """`key`; UserError unless TVM's tracker can tell it from the rest of a line."""
    if not KEY.fullmatch(key):
        raise UserError(f"{key!r} cannot be a device's key; use letters, digits, '.', '_' and '-'")
    return key


def bracketed(host: str) -> str:
    """The host as it stands before a colon."""
    return f"[{host}]" if ":" in host else host


def warning(host: str) -> str | None:
    """What to say before listening on `host`; None for the loopback."""
    if host in LOOPBACK:
        return None
    return (
        f"{host} can be reached from other machines, and TVM's RPC has no authentication: whoever connects "
        "runs any code. Use it in a closed network only, or keep 127.0.0.1 and tunnel with ssh"
    )
