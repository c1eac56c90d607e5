# SPDX-License-Identifier: Apache-2.0
"""64-bit ARM cores by (implementer, part) of /proc/cpuinfo, with LLVM's name and features for each.

`cpu_of` finds one; `nearest` is what an unknown part is taken for, by what the kernel lists.
"""

from dataclasses import dataclass

Part = tuple[int, int]  # (implementer, part number)

# LLVM's features by level of the architecture, as far as code for a network may come to use them unasked.
_V80: frozenset[str] = frozenset()
_V82 = frozenset(["lse", "rdm", "rcpc", "fullfp16", "dotprod"])
_V84 = _V82 | {"complxnum", "jsconv", "flagm"}
_V85 = _V84 | {"fptoint", "sha3"}
_V86 = _V85 | {"bf16", "i8mm"}
_V1 = _V84 | {"fp16fml", "sha3", "bf16", "i8mm", "sve"}
_V9 = _V84 | {"fp16fml", "fptoint", "bf16", "i8mm", "sve", "sve2"}
_M1, _M2 = _V85 | {"fp16fml"}, _V86 | {"fp16fml"}


@dataclass(frozen=True)
class ArmCpu:
    """`fma_units` as in `CoreClass`: 128-bit multiply-adds started per cycle. `features` are those that
    LLVM's `mcpu` (`llvm`, where that is another core's) implies. L1 is for where /sys does not tell.
    """

    name: str
    fma_units: float
    in_order: bool
    misses_in_flight: int
    features: frozenset[str] = _V82
    llvm: str = ""
    l1_kib: int = 64

    @property
    def mcpu(self) -> str:
        """LLVM's name."""
        return self.llvm or self.name


def _little(name: str, fma_units: float, misses: int, features: frozenset[str]) -> ArmCpu:
    return ArmCpu(name, fma_units, True, misses, features, l1_kib=32)


def _big(name: str, fma_units: float, misses: int, features: frozenset[str]) -> ArmCpu:
    return ArmCpu(name, fma_units, False, misses, features)


def _apple(name: str, llvm: str, features: frozenset[str]) -> tuple[ArmCpu, ArmCpu]:
    """The efficient and the fast core. LLVM's list of CPUs has Macs' by the iPhone with the same cores."""
    return (
        ArmCpu(name, 2.0, False, 32, features, llvm),
        ArmCpu(name, 4.0, False, 64, features, llvm, l1_kib=128),
    )


_A53 = _little("cortex-a53", 1.0, 3, _V80)
_A55 = _little("cortex-a55", 1.0, 4, _V82)
_A72 = ArmCpu("cortex-a72", 1.0, False, 6, _V80, l1_kib=32)
_A73 = ArmCpu("cortex-a73", 1.0, False, 8, _V80, l1_kib=32)
_A75 = _big("cortex-a75", 1.0, 8, _V82)
_A76 = _big("cortex-a76", 2.0, 20, _V82)
_N2 = _big("neoverse-n2", 2.0, 32, _V9)
_M1_E, _M1_P = _apple("apple-m1", "apple-a14", _M1)
_M2_E, _M2_P = _apple("apple-m2", "apple-a15", _M2)
_M3_E, _M3_P = _apple("apple-m3", "apple-a16", _M2)
_M4_E, _M4_P = _apple("apple-m4", "apple-m4", _M2 | {"sme"})

ARM, CAVIUM, FUJITSU, HISILICON, NVIDIA = 0x41, 0x43, 0x46, 0x48, 0x4E
QUALCOMM, APPLE, MICROSOFT, AMPERE = 0x51, 0x61, 0x6D, 0xC0
# Part numbers: the MIDR of each core's Technical Reference Manual, and Linux's and LLVM's lists of others'.
# FMA rates: the Software Optimization Guides, as LLVM's scheduling models have them. Misses: the TRMs'
# linefill buffers, estimates from Neoverse N1 up.
# LLVM 22's schedules of oryon-1 and ampere1b abort it at pairs of loads ("DefIdx 1 exceeds machine model
# writes"): they go by cores with the same features.
ARM_CPUS: dict[Part, ArmCpu] = {
    (ARM, 0xD02): _little("cortex-a34", 0.5, 3, _V80),
    (ARM, 0xD03): _A53,
    (ARM, 0xD04): _little("cortex-a35", 0.5, 3, _V80),
    (ARM, 0xD05): _A55,
    (ARM, 0xD06): ArmCpu("cortex-a65", 1.0, False, 8, l1_kib=32),
    (ARM, 0xD07): ArmCpu("cortex-a57", 1.0, False, 6, _V80, l1_kib=32),
    (ARM, 0xD08): _A72,
    (ARM, 0xD09): _A73,
    (ARM, 0xD0A): _A75,
    (ARM, 0xD0B): _A76,
    (ARM, 0xD0C): _big("neoverse-n1", 2.0, 20, _V82),
    (ARM, 0xD0D): _big("cortex-a77", 2.0, 20, _V82),
    (ARM, 0xD0E): _big("cortex-a76ae", 2.0, 20, _V82),
    (ARM, 0xD40): _big("neoverse-v1", 4.0, 32, _V1),
    (ARM, 0xD41): _big("cortex-a78", 2.0, 20, _V82),
    (ARM, 0xD42): _big("cortex-a78ae", 2.0, 20, _V82),
    (ARM, 0xD43): ArmCpu("cortex-a65ae", 1.0, False, 8, l1_kib=32),
    (ARM, 0xD44): _big("cortex-x1", 4.0, 32, _V82),
    (ARM, 0xD46): _little("cortex-a510", 1.0, 8, _V9),
    (ARM, 0xD47): _big("cortex-a710", 2.0, 24, _V9),
    (ARM, 0xD48): _big("cortex-x2", 4.0, 32, _V9),
    (ARM, 0xD49): _N2,
    (ARM, 0xD4A): ArmCpu("neoverse-e1", 1.0, False, 8, l1_kib=32),
    (ARM, 0xD4B): _big("cortex-a78c", 2.0, 20, _V82 | {"flagm"}),
    (ARM, 0xD4C): _big("cortex-x1c", 4.0, 32, _V82 | {"flagm"}),
    (ARM, 0xD4D): _big("cortex-a715", 2.0, 26, _V9),
    (ARM, 0xD4E): _big("cortex-x3", 4.0, 40, _V9),
    (ARM, 0xD4F): _big("neoverse-v2", 4.0, 40, _V9),
    (ARM, 0xD80): _little("cortex-a520", 1.0, 8, _V9),
    (ARM, 0xD81): _big("cortex-a720", 2.0, 28, _V9),
    (ARM, 0xD82): _big("cortex-x4", 4.0, 48, _V9),
    (ARM, 0xD83): _big("neoverse-v3ae", 4.0, 48, _V9),
    (ARM, 0xD84): _big("neoverse-v3", 4.0, 48, _V9),
    (ARM, 0xD85): _big("cortex-x925", 6.0, 48, _V9),
    (ARM, 0xD87): _big("cortex-a725", 2.0, 30, _V9),
    (ARM, 0xD88): _little("cortex-a520ae", 1.0, 8, _V9),
    (ARM, 0xD89): _big("cortex-a720ae", 2.0, 28, _V9),
    (ARM, 0xD8E): _big("neoverse-n3", 2.0, 32, _V9),
    (ARM, 0xD8F): _little("cortex-a320", 1.0, 6, _V9),
    (CAVIUM, 0x0AF): ArmCpu("thunderx2t99", 2.0, False, 16, frozenset(["lse", "rdm"]), l1_kib=32),
    (FUJITSU, 0x001): _big(
        "a64fx", 2.0, 20, frozenset(["lse", "rdm", "fullfp16", "complxnum", "sve"])
    ),
    (HISILICON, 0xD01): _big(
        "tsv110", 2.0, 20, _V82 - {"rcpc"} | {"fp16fml", "complxnum", "jsconv"}
    ),
    (NVIDIA, 0x004): _big("carmel", 2.0, 16, frozenset(["lse", "rdm", "fullfp16"])),
    (QUALCOMM, 0x001): ArmCpu("oryon-1", 4.0, False, 50, _M2, "apple-a15", l1_kib=96),
    (QUALCOMM, 0x800): _A73,  # Kryo 2xx gold
    (QUALCOMM, 0x801): _A53,  # and silver
    (QUALCOMM, 0x802): _A75,  # Kryo 3xx gold
    (QUALCOMM, 0x803): _A55,  # and silver
    (QUALCOMM, 0x804): _A76,  # Kryo 4xx gold
    (QUALCOMM, 0x805): _A55,  # and silver
    (APPLE, 0x000): _M1_P,  # what macOS shows its virtual machines of every core; none is older
    (APPLE, 0x020): _M1_E,  # A14
    (APPLE, 0x021): _M1_P,
    (APPLE, 0x022): _M1_E,
    (APPLE, 0x023): _M1_P,
    (APPLE, 0x024): _M1_E,  # M1 Pro
    (APPLE, 0x025): _M1_P,
    (APPLE, 0x028): _M1_E,  # M1 Max and Ultra
    (APPLE, 0x029): _M1_P,
    (APPLE, 0x032): _M2_E,
    (APPLE, 0x033): _M2_P,
    (APPLE, 0x034): _M2_E,
    (APPLE, 0x035): _M2_P,
    (APPLE, 0x038): _M2_E,
    (APPLE, 0x039): _M2_P,
    (APPLE, 0x042): _M3_E,
    (APPLE, 0x043): _M3_P,
    (APPLE, 0x044): _M3_E,
    (APPLE, 0x045): _M3_P,
    (APPLE, 0x048): _M3_E,
    (APPLE, 0x049): _M3_P,
    (APPLE, 0x052): _M4_E,
    (APPLE, 0x053): _M4_P,
    (APPLE, 0x054): _M4_E,
    (APPLE, 0x055): _M4_P,
    (APPLE, 0x058): _M4_E,
    (APPLE, 0x059): _M4_P,
    (MICROSOFT, 0xD49): _N2,  # Cobalt 100
    (AMPERE, 0xAC3): _big("ampere1", 2.0, 24, _V86),
    (AMPERE, 0xAC4): _big("ampere1a", 2.0, 24, _V86),
    (AMPERE, 0xAC5): ArmCpu("ampere1b", 2.0, False, 24, _V86, "ampere1a"),
}
# Nothing is known of it, not even what the kernel lists (an emulator shows the files of its host).
GENERIC = ArmCpu("generic", 1.0, False, 6, _V80, l1_kib=32)
# By level of the architecture: the core whose code suits the others of it best.
_TYPICAL = (_A72, _A76, _big("cortex-a710", 2.0, 24, _V9))


def cpu_of(part: Part | None) -> ArmCpu:
    """What is known of the part; GENERIC where nothing is."""
    return GENERIC if part is None else ARM_CPUS.get(part, GENERIC)


def nearest(features: frozenset[str]) -> ArmCpu:
    """The core that one of these features is taken for. It uses none that is not among them."""
    return [cpu for cpu in _TYPICAL if cpu.features <= features][-1]
