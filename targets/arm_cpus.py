# SPDX-License-Identifier: Apache-2.0
"""64-bit ARM cores by (implementer, part) of /proc/cpuinfo, with LLVM's name for each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ArmCpu:
    """`fma_units` as in `CoreClass`: 128-bit multiply-adds started per cycle."""

    name: str
    fma_units: float
    in_order: bool
    misses_in_flight: int


_A53 = ArmCpu("cortex-a53", 1.0, True, 3)
_A73 = ArmCpu("cortex-a73", 1.0, False, 8)
# Part numbers: the MIDR of each core's Technical Reference Manual. FMA rates: the Software
# Optimization Guides, as LLVM's scheduling models have them. Misses: the TRMs' linefill buffers,
# estimates from Neoverse N1 up. None is what an unknown core is taken for.
ARM_CPUS: dict[tuple[int, int] | None, ArmCpu] = {
    None: ArmCpu("generic", 1.0, False, 6),
    (0x41, 0xD03): _A53,
    (0x41, 0xD04): ArmCpu("cortex-a35", 0.5, True, 3),
    (0x41, 0xD05): ArmCpu("cortex-a55", 1.0, True, 4),
    (0x41, 0xD07): ArmCpu("cortex-a57", 1.0, False, 6),
    (0x41, 0xD08): ArmCpu("cortex-a72", 1.0, False, 6),
    (0x41, 0xD09): _A73,
    (0x41, 0xD0A): ArmCpu("cortex-a75", 1.0, False, 8),
    (0x41, 0xD0B): ArmCpu("cortex-a76", 2.0, False, 20),
    (0x41, 0xD0C): ArmCpu("neoverse-n1", 2.0, False, 20),
    (0x41, 0xD0D): ArmCpu("cortex-a77", 2.0, False, 20),
    (0x41, 0xD40): ArmCpu("neoverse-v1", 4.0, False, 32),
    (0x41, 0xD41): ArmCpu("cortex-a78", 2.0, False, 20),
    (0x41, 0xD49): ArmCpu("neoverse-n2", 2.0, False, 32),
    (0x41, 0xD4F): ArmCpu("neoverse-v2", 4.0, False, 32),
    (0x51, 0x800): _A73,  # Kryo 280 gold
    (0x51, 0x801): _A53,  # Kryo 280 silver
}
