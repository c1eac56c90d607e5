# SPDX-License-Identifier: Apache-2.0
"""An RPC server of ours, kept up, that registers with a tracker: what a board and a simulating worker share.

Takes the server's command without its ports; gives a daemon that knows where it listens, and whether the
tracker knows it.
"""

from collections.abc import Mapping

from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.address import Address
from mnc.compile.rpc.daemon import Daemon

FIRST_PORT, LAST_PORT = 9091, 9190
START_SECONDS = 120.0
PORT_OPTION = "--port-file={folder}/port"  # where the server finds the port of its last boot, too


class RegisteredServer(Daemon):
    """The server of one `key`. Without `tracker`, it is for who knows its port."""

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        tracker: tuple[str, int] | None,
        key: str,
        environment: Mapping[str, str],
    ) -> None:
        ports = [f"--port={FIRST_PORT}", f"--port-end={LAST_PORT}"]
        super().__init__(name, [*command, *ports, PORT_OPTION], environment=environment)
        self.tracker, self.key = tracker, key

    @property
    def port(self) -> int | None:
        """Where it listens; None until it does."""
        try:
            return int((self.folder / "port").read_text())
        except (OSError, ValueError):
            return None

    @property
    def address(self) -> Address:
        """Where clients ask for it; what to give as --device."""
        if self.tracker is None:
            raise RuntimeError(f"{self.name} has no tracker, so no address")
        return Address(*self.tracker, self.key)

    def registered(self) -> bool:
        """Whether it listens, and the tracker knows it."""
        port = self.port
        if port is None or self.tracker is None:
            return port is not None
        known = trackers.summary(self.tracker)
        return any(server.key == self.key and server.port == port for server in known.servers)

    def wait_until_registered(self) -> None:
        """UserError, and the server is no more, when it does not come up."""
        self.wait_until(self.registered, seconds=START_SECONDS)
