# SPDX-License-Identifier: Apache-2.0
"""The machine a race ran on, in the words a reader of its results needs."""

import os
import platform

from bench.results import Machine
from mnc.targets import Target, topology


def describe(target: Target, *, hidden: str = "") -> Machine:
    """This machine, which `target` stands for, but for what is `hidden` of it."""
    processor = topology.cpuinfo()[0]
    core = target.fast
    caches = [("L1d", core.l1d), *((("L2", core.l2),) if core.l2 else ())]
    caches += [(f"L{3 + level}", cache) for level, cache in enumerate(target.caches)]
    return Machine(
        cpu=processor.get("model name", platform.processor() or platform.machine()),
        mcpu=target.mcpu,
        cores=topology.usable_cores(),
        caches=", ".join(f"{name} {cache.size_kib} KiB" for name, cache in caches),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        virtual="hypervisor" in processor.get("flags", "").split(),
        hidden=hidden,
    )
