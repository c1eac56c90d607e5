# SPDX-License-Identifier: Apache-2.0
"""What a device can do at most: measured where this is the device, else from its target file.

Takes a `Target` and a thread count; gives a `Roof`, or None where too little is known.
"""

import math
from dataclasses import dataclass, replace

from mnc.targets import Target

HALF_RATIO = 2.0  # multiply-adds of halves, while there is one of floats


@dataclass(frozen=True)
class Roof:
    """What `threads` cores can do at most, `gflops` in the network's precision. `bandwidths` are GB/s of each
    level, innermost first, `capacities` the bytes that its caches hold. `origin` says who measured that, or
    which file says so.
    """

    gflops: float
    bandwidths: dict[str, float]
    capacities: dict[str, int]
    threads: int
    origin: str

    def bound(self, macs: int, traffic: int) -> float:
        """Seconds that the work takes at least: by arithmetic, or by moving each byte once, the innermost
        levels giving as much as they hold.
        """
        return max(2e-9 * macs / self.gflops, self._moving(traffic))

    def _moving(self, traffic: int) -> float:
        seconds, held = 0.0, 0.0
        for level, speed in self.bandwidths.items():
            reach = max(held, self.capacities.get(level, math.inf))
            seconds += 1e-9 * (min(traffic, reach) - min(traffic, held)) / speed
            held = reach
        return seconds


def measured_here(target: Target, threads: int) -> Roof:
    """This machine's limits, from the cache or measured now. UserError when they cannot be."""
    from mnc.compile.machine.peaks import figures

    known = figures(target, threads)
    return Roof(
        gflops=known.gflops,
        bandwidths=known.bandwidths,
        capacities=_capacities(target, threads),
        threads=threads,
        origin="measured on this machine",
    )


def integer_ratio(target: Target) -> float:
    """How many multiply-adds of bytes a core does at most while it does one of floats: as many as its
    instruction has products in a sum (4 of dot products), 1 where there is none.
    """
    import tvm

    from mnc.compile.templates import instructions

    with tvm.target.Target(target.tvm_target()):
        found = instructions.available()
    return 1.0 if found is None else float(found.group)


def in_precision(roof: Roof, target: Target, precision: str) -> Roof:
    """The float32 `roof` of a target for a network that computes in `precision`."""
    if precision == "float32":
        return roof
    ratio = integer_ratio(target) if precision == "int8" else HALF_RATIO
    return replace(roof, gflops=roof.gflops * ratio)


def of_target(target: Target | None, *, threads: int) -> Roof | None:
    """What the target's file says of `threads` of its fast cores; None without a clock."""
    if target is None or target.fast.clock_ghz is None:
        return None
    core, clock = target.fast, target.fast.clock_ghz
    caches = {"L1": core.l1d, "L2": core.l2, "L3": next(iter(target.caches), None)}
    speeds = {
        name: cache.bandwidth_bytes_per_cycle * clock * threads
        for name, cache in caches.items()
        if cache is not None
    }
    return Roof(
        gflops=core.peak_gflops(threads) or 0.0,
        bandwidths={**speeds, "DRAM": target.memory.bandwidth(threads)},
        capacities=_capacities(target, threads),
        threads=threads,
        origin=f"from targets/{target.name}.toml, not measured",
    )


def _capacities(target: Target, threads: int) -> dict[str, int]:
    """Bytes of each level that `threads` cores reach together."""
    core = target.fast
    found = {"L1": core.l1d.size_bytes * threads}
    if core.l2 is not None:
        found["L2"] = core.l2.size_bytes * max(1, threads // core.l2.shared_by)
    if target.caches:
        found["L3"] = target.caches[0].size_bytes
    return found
