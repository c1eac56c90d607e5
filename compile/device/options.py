# SPDX-License-Identifier: Apache-2.0
"""What a person may ask for of a device: one frozen struct, the same from Python and the command line."""

import msgspec

from mnc.compile.rpc.address import Cores


class DeviceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`address` is a device's, "rpc://host:port/key"; None: this machine, or else the core model.

    `simulate` prefers the core model to this machine; it is done by `workers` processes here, or on the
    machines that have joined `tracker` ("host:port"). `threads` run each kernel (None: 1 where timed, every
    fast core where simulated) and each network (None: all cores), over RPC on `cores` of that class.
    `allow_emulated` accepts times made under an emulator.
    """

    address: str | None = None
    simulate: bool = False
    workers: int | None = None
    tracker: str | None = None
    threads: int | None = None
    cores: Cores = "big"
    allow_emulated: bool = False
