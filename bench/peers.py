# SPDX-License-Identifier: Apache-2.0
"""All runtimes that race, by precision, and all recipes of their files."""

from bench import float_peers, integer_peers
from bench.peer import Peer
from mnc.model.names import Precision
from mnc.support.errors import UserError

RECIPES = (*float_peers.RECIPES, *integer_peers.RECIPES)
PEERS: dict[Precision, tuple[Peer, ...]] = {
    "float32": float_peers.PEERS,
    "int8": integer_peers.PEERS,
}


def find(keys: str | None, precision: Precision = "float32") -> tuple[Peer, ...]:
    """The peers that a comma-separated list names, in the table's order; all for None."""
    peers = PEERS[precision]
    if keys is None:
        return peers
    wanted = {key.strip() for key in keys.split(",") if key.strip()}
    unknown = wanted - {peer.key for peer in peers}
    if unknown or not wanted:
        known = ", ".join(peer.key for peer in peers)
        raise UserError(f"unknown peer {', '.join(sorted(unknown)) or '(none)'}; one of {known}")
    return tuple(peer for peer in peers if peer.key in wanted)
