# SPDX-License-Identifier: Apache-2.0
"""How to measure: a frozen struct for each of the three measurers. Times are seconds.

`threads` run each kernel. `verify` False skips the check of outputs, and trials are then not `verified`.
`budget` bounds the timing of one kernel. `evict_bytes` are streamed through the caches before each repeat
(None: worked out from the target's caches). `templates` are modules with templates besides ours.
"""

import msgspec

from mnc.compile.rpc.address import Cores
from mnc.model.names import Precision


class LocalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """On this machine."""

    threads: int = 1
    compile_timeout: float = 10.0
    run_timeout: float = 10.0
    budget: float = 0.045
    evict_bytes: int | None = None
    verify: bool = True
    templates: tuple[str, ...] = ()


class RpcOptions(msgspec.Struct, frozen=True, kw_only=True):
    """On devices over RPC, where `threads` run on cores of the class `cores`.

    `allow_emulated` must be set to time virtual boards; such trials are marked. `transfer_timeout` bounds
    an upload, however slow the network; `run_timeout` a kernel. `probe_seconds` is how long a lost device
    may take to answer before it counts as gone, `device_wait` how long to go on without any device at all.
    A device ends a session after `session_seconds`; one that is idle for `idle_seconds` is given back.
    """

    threads: int = 1
    cores: Cores = "big"
    allow_emulated: bool = False
    compile_timeout: float = 15.0
    run_timeout: float = 15.0
    transfer_timeout: float = 120.0
    connect_seconds: float = 60.0
    wait_seconds: float = 20.0
    probe_seconds: float = 10.0
    session_seconds: float = 600.0
    idle_seconds: float = 30.0
    device_wait: float = 600.0
    budget: float = 0.1
    evict_bytes: int | None = None
    verify: bool = True
    templates: tuple[str, ...] = ()


class SimulationOptions(msgspec.Struct, frozen=True, kw_only=True):
    """By a core model: `threads` None is one for each fast core; `workers` processes simulate (None: one for
    each core of this machine). A job may take `timeout`. `precision` is the network's: what integer
    kernels cost has a name of its own.
    """

    threads: int | None = None
    workers: int | None = None
    timeout: float = 120.0
    precision: Precision = "float32"
    verify: bool = True
    templates: tuple[str, ...] = ()
