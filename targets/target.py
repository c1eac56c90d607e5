# SPDX-License-Identifier: Apache-2.0
"""What hardware-aware code may ask about a device: cores, caches, memory and TVM target string.

Plain frozen values: `mnc.targets.catalog` reads them from TOML, `mnc.targets.host` from this machine.
"""

from typing import Annotated, Literal

import msgspec

from mnc.targets.pipeline import Clock, Pipeline

Slug = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9_.-]*\Z", max_length=100)]
Triple = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9_]+(-[a-z0-9_.]+)+\Z", max_length=60)]
Attribute = Annotated[str, msgspec.Meta(pattern=r"\A[+-][a-z0-9_.-]+\Z", max_length=40)]
Version = Annotated[str, msgspec.Meta(pattern=r"\A\d{1,3}\.\d{1,3}\Z")]
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
BoardName = Annotated[str, msgspec.Meta(min_length=3, max_length=100)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Kibibytes = Annotated[int, msgspec.Meta(ge=1, le=2**22)]
LineBytes = Annotated[int, msgspec.Meta(ge=8, le=1024)]
Registers = Annotated[int, msgspec.Meta(ge=8, le=256)]
Replacement = Literal["longest-ago", "random", "trees"]
# What no machine is near, in either direction, nobody meant: 1e-308 is not zero, but divides like it. The
# upper limits also refuse the infinity that TOML can spell; NaN fails both.
CycleCount = Annotated[float, msgspec.Meta(ge=1, le=1e6)]
BytesPerCycle = Annotated[float, msgspec.Meta(ge=0.01, le=4096)]
GigabytesPerSecond = Annotated[float, msgspec.Meta(ge=0.01, le=1e5)]
Nanoseconds = Annotated[float, msgspec.Meta(ge=1, le=1e5)]
FmaUnits = Annotated[float, msgspec.Meta(ge=0.01, le=64)]

ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

# LLVM's scheduler brings loads that lie side by side together, which takes all loads of an unrolled step of a
# register tile in front of its multiply-adds: a 2x14 tile then spills 26 times a step. Apart, by the core
# model, 512 -> 512 channels at 14x14 in the templates' best config takes 0.93 of the time on an RK3399, 0.76
# on a Raspberry Pi 3 B, 0.64 on a Cortex-A55.
LOADS_APART = "-misched-cluster:bool=false"


# What an inference reads and writes between two uses of a weight.
INFERENCE_BYTES = 20 << 20


class Cache(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cache of the data path.

    `latency_cycles` is load-to-use in cycles of the core that asks. `bandwidth_bytes_per_cycle` is
    what one core can read from it each cycle. `shared_by` is how many cores use one instance. It
    replaces the line that was used `longest-ago`, a `random` one, or what binary `trees` over its ways
    point to: each node to the half not used last, the largest trees that divide the ways, of several
    the one used longest ago (Intel's L1: PLRU, and LRU3PLRU4 of 12 ways; uops.info/cache.html).
    """

    size_kib: Kibibytes
    line_bytes: LineBytes = 64
    associativity: Count
    latency_cycles: CycleCount
    bandwidth_bytes_per_cycle: BytesPerCycle
    shared_by: Count = 1
    replacement: Replacement = "longest-ago"

    def __post_init__(self) -> None:
        if not _power_of_two(self.line_bytes):
            raise ValueError(f"line_bytes must be a power of two, not {self.line_bytes}")
        if self.size_bytes < self.line_bytes * self.associativity:
            raise ValueError(
                f"size_kib {self.size_kib} is too small for {self.associativity} ways "
                f"of {self.line_bytes}-byte lines"
            )

    @property
    def size_bytes(self) -> int:
        """Capacity in bytes."""
        return self.size_kib * 1024


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """DRAM as a program sees it: sustained read bandwidth of all cores and of one, idle latency. Several
    cores may have less together than one alone.

    `launch_cycles` is what a parallel section costs the core that begins it beside its work: waking the
    others and waiting for them. Fitted on one board, rk3399.
    """

    bandwidth_gb_s: GigabytesPerSecond
    core_bandwidth_gb_s: GigabytesPerSecond
    latency_ns: Nanoseconds
    launch_cycles: CycleCount = 18000.0

    def __post_init__(self) -> None:
        if self.core_bandwidth_gb_s > 2 * self.bandwidth_gb_s:
            raise ValueError("core_bandwidth_gb_s cannot exceed twice bandwidth_gb_s")

    def bandwidth(self, threads: int) -> float:
        """GB/s that so many cores have together."""
        one, every = self.core_bandwidth_gb_s, self.bandwidth_gb_s
        return one if threads == 1 else min(one * threads, every)


class CoreClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Cores of one kind.

    `fma_units` is how many float32 multiply-adds, each a whole vector of `vector_bits`, the core
    can start every cycle: 2 for two 128-bit pipes, 1 for two 64-bit pipes behind 128-bit registers.
    `clock_ghz` is absent where it cannot be known (virtual machines). `misses_in_flight` bounds the
    L1 data misses outstanding at once and `prefetch_streams` the sequences the hardware follows.
    `l2` is the core's or its cluster's (`shared_by`); what all classes share is `Target.caches`.
    `pipeline` says how it executes; without it, `targets.pipelines` is asked by `cpu`.
    """

    name: Slug
    cpu: Slug
    count: Count
    clock_ghz: Clock | None = None
    vector_bits: Count
    vector_registers: Registers
    fma_units: FmaUnits
    in_order: bool
    misses_in_flight: Count
    prefetch_streams: Count
    l1d: Cache
    l2: Cache | None = None
    pipeline: Pipeline | None = None

    def __post_init__(self) -> None:
        if not _power_of_two(self.vector_bits) or self.vector_bits < 64:
            raise ValueError(
                f"vector_bits must be a power of two from 64 to 1024, not {self.vector_bits}"
            )

    @property
    def lanes(self) -> int:
        """float32 values in one vector."""
        return self.vector_bits // 32

    @property
    def flops_per_cycle(self) -> float:
        """float32 operations one core can do in a cycle; a multiply-add counts two."""
        return 2 * self.lanes * self.fma_units

    def peak_gflops(self, cores: int = 1) -> float | None:
        """float32 GFLOP/s of `cores` cores at their clock; None where no clock is known."""
        return None if self.clock_ghz is None else self.flops_per_cycle * self.clock_ghz * cores


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device. `cores` lists the fastest class first; code is generated for that one (`mcpu`).

    `boards` is how a machine is known to be this device: strings of its device tree's `compatible` (they have
    a comma in them), or how its `model` begins.

    `model` names the exact device in tuning logs and must be unique to it: TVM gives records of one
    model to no other. `glibc` is the oldest C library the built library must still load with.
    """

    name: Slug
    description: Description
    triple: Triple
    mcpu: Slug
    mattr: tuple[Attribute, ...] = ()
    model: Slug
    boards: tuple[BoardName, ...] = ()
    glibc: Version | None = None
    cores: Annotated[tuple[CoreClass, ...], msgspec.Meta(min_length=1)]
    caches: tuple[Cache, ...] = ()
    memory: Memory

    def __post_init__(self) -> None:
        self.arch  # noqa: B018 - raises ValueError on an unknown architecture
        names = [core.name for core in self.cores]
        if len(set(names)) != len(names):
            raise ValueError(f"cores must have different names, not {', '.join(names)}")
        if self.glibc is not None and "-gnu" not in self.triple:
            raise ValueError(f"glibc makes no sense for triple {self.triple}")

    @property
    def arch(self) -> str:
        """ "x86_64", "aarch64" or "arm" (32 bits)."""
        first = self.triple.split("-", maxsplit=1)[0]
        if first.startswith(("armv7", "armv8")) or first == "arm":
            return "arm"
        if first not in ARCHITECTURES:
            raise ValueError(f"triple must begin with x86_64, aarch64 or armv7, not {first!r}")
        return ARCHITECTURES[first]

    @property
    def fast(self) -> CoreClass:
        """The fastest class of cores, the one code is tuned for."""
        return self.cores[0]

    @property
    def lanes(self) -> int:
        """float32 values in one vector of the fast cores."""
        return self.fast.lanes

    @property
    def vector_registers(self) -> int:
        """Architectural vector registers of `vector_bits` each."""
        return self.fast.vector_registers

    @property
    def keeps_network(self) -> bool:
        """Whether the last cache is so large that weights are still in it when they are used again."""
        last = self.caches[-1] if self.caches else self._before_last
        return last.size_bytes >= INFERENCE_BYTES

    @property
    def evict_bytes(self) -> int:
        """Bytes that push out of the caches what an inference pushes out: weights go from L1 and L2, and
        from the last cache where it does not keep the network.
        """
        return 3 * self._before_last.size_bytes if self.keeps_network else INFERENCE_BYTES

    @property
    def _before_last(self) -> Cache:
        return self.fast.l2 or self.fast.l1d

    def core_class(self, name: str) -> CoreClass:
        """The class called `name`; KeyError when the device has none."""
        return {core.name: core for core in self.cores}[name]

    def tvm_target(self) -> str:
        """The TVM target string, -mcpu and -model always in it. -num-cores counts fast cores."""
        words = ["llvm"]
        if self.arch == "x86_64":
            words += ["-keys=cpu"]
        else:
            words += ["-keys=arm_cpu,cpu", "-device=arm_cpu"]
        words += [f"-mtriple={self.triple}", f"-mcpu={self.mcpu}"]
        if self.mattr:
            words += [f"-mattr={','.join(self.mattr)}"]
        if self.triple.endswith("eabihf"):
            words += ["-mfloat-abi=hard"]
        if self.arch == "aarch64":
            words += [f"-cl-opt={LOADS_APART}"]
        return " ".join([*words, f"-model={self.model}", f"-num-cores={self.fast.count}"])


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0
