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
_LEVEL_M1, _LEVEL_M2 = _V85 | {"fp16fml"}, _V86 | {"fp16fml"}
_EXYNOS = _V82 - {"rcpc"}


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


@dataclass(frozen=True)
class _Apple:
    """The two cores of a generation. LLVM's list of CPUs has Macs' by the iPhone with the same cores."""

    name: str
    llvm: str
    features: frozenset[str]

    @property
    def efficient(self) -> ArmCpu:
        return ArmCpu(self.name, 2.0, False, 32, self.features, self.llvm)

    @property
    def fast(self) -> ArmCpu:
        return ArmCpu(self.name, 4.0, False, 64, self.features, self.llvm, l1_kib=128)

    def parts(self, *efficient: int) -> dict[Part, ArmCpu]:
        """By part numbers: a chip's fast core has that of its efficient one and 1."""
        pairs = [((APPLE, part), (APPLE, part + 1)) for part in efficient]
        cores = (self.efficient, self.fast)
        return {key: core for pair in pairs for key, core in zip(pair, cores, strict=True)}


ARM, BROADCOM, CAVIUM, FUJITSU, HISILICON = 0x41, 0x42, 0x43, 0x46, 0x48
NVIDIA, QUALCOMM, SAMSUNG, APPLE, MICROSOFT = 0x4E, 0x51, 0x53, 0x61, 0x6D
AMPERE = 0xC0
KRYO = (0x201, 0x205, 0x211)  # Snapdragon 820 and 821

_A53 = _little("cortex-a53", 1.0, 3, _V80)
_A55 = _little("cortex-a55", 1.0, 4, _V82)
_A72 = ArmCpu("cortex-a72", 1.0, False, 6, _V80, l1_kib=32)
_A73 = ArmCpu("cortex-a73", 1.0, False, 8, _V80, l1_kib=32)
_A75 = _big("cortex-a75", 1.0, 8, _V82)
_A76 = _big("cortex-a76", 2.0, 20, _V82)
_N2 = _big("neoverse-n2", 2.0, 32, _V9)
_A77 = _big("cortex-a77", 2.0, 20, _V82)
_THUNDERX2 = ArmCpu("thunderx2t99", 2.0, False, 16, frozenset(["lse", "rdm"]), l1_kib=32)
_M1, _M2 = _Apple("apple-m1", "apple-a14", _LEVEL_M1), _Apple("apple-m2", "apple-a15", _LEVEL_M2)
_M3 = _Apple("apple-m3", "apple-a16", _LEVEL_M2)
_M4 = _Apple("apple-m4", "apple-m4", _LEVEL_M2 | {"sme"})

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
    (ARM, 0xD0D): _A77,
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
    (ARM, 0xD8A): _little("c1-nano", 1.0, 8, _V9 | {"sme"}),
    (ARM, 0xD8B): _big("c1-pro", 2.0, 30, _V9 | {"sme"}),
    (ARM, 0xD8C): _big("c1-ultra", 6.0, 48, _V9 | {"sme"}),
    (ARM, 0xD8E): _big("neoverse-n3", 2.0, 32, _V9),
    (ARM, 0xD8F): _little("cortex-a320", 1.0, 6, _V9),
    (ARM, 0xD90): _big("c1-premium", 4.0, 48, _V9 | {"sme"}),
    (BROADCOM, 0x100): _A53,  # Brahma B53
    (BROADCOM, 0x516): _THUNDERX2,
    (CAVIUM, 0x0A1): ArmCpu("thunderxt88", 0.5, True, 6, _V80, l1_kib=32),
    (CAVIUM, 0x0AF): _THUNDERX2,
    (CAVIUM, 0x0B8): _big("thunderx3t110", 4.0, 20, _V84 - {"fullfp16", "dotprod", "flagm"}),
    (CAVIUM, 0x516): _THUNDERX2,
    (FUJITSU, 0x001): _big(
        "a64fx", 2.0, 20, frozenset(["lse", "rdm", "fullfp16", "complxnum", "sve"])
    ),
    (FUJITSU, 0x003): _big("fujitsu-monaka", 4.0, 40, _V9 | {"sha3"}),
    (HISILICON, 0xD01): _big(
        "tsv110", 2.0, 20, _V82 - {"rcpc"} | {"fp16fml", "complxnum", "jsconv"}
    ),
    (HISILICON, 0xD40): _A76,  # Kirin 990
    (HISILICON, 0xD41): _A77,  # Kirin 9000
    (NVIDIA, 0x004): _big("carmel", 2.0, 16, frozenset(["lse", "rdm", "fullfp16"])),
    (NVIDIA, 0x010): _big("olympus", 6.0, 48, _V9 | {"sha3"}),
    (QUALCOMM, 0x001): ArmCpu("oryon-1", 4.0, False, 50, _LEVEL_M2, "apple-a15", l1_kib=96),
    (QUALCOMM, 0x002): ArmCpu("oryon-2", 4.0, False, 50, _LEVEL_M2, "apple-a15", l1_kib=96),
    **{(QUALCOMM, part): ArmCpu("kryo", 1.0, False, 8, _V80, l1_kib=32) for part in KRYO},
    (QUALCOMM, 0x800): _A73,  # Kryo 2xx gold
    (QUALCOMM, 0x801): _A53,  # and silver
    (QUALCOMM, 0x802): _A75,  # Kryo 3xx gold
    (QUALCOMM, 0x803): _A55,  # and silver
    (QUALCOMM, 0x804): _A76,  # Kryo 4xx gold
    (QUALCOMM, 0x805): _A55,  # and silver
    (QUALCOMM, 0xC00): ArmCpu("falkor", 1.0, False, 8, frozenset(["rdm"]), l1_kib=32),
    (APPLE, 0x000): _M1.fast,  # what macOS shows its virtual machines of every core; none is older
    **_M1.parts(0x020, 0x022, 0x024, 0x028),  # A14; M1, its Pro, its Max and Ultra
    **_M2.parts(0x030, 0x032, 0x034, 0x038),
    **_M3.parts(0x036, 0x042, 0x044, 0x048),
    **_M4.parts(0x052, 0x054, 0x058),
    (SAMSUNG, 0x002): _big("exynos-m3", 3.0, 12, _V80),
    (SAMSUNG, 0x003): _big("exynos-m4", 3.0, 12, _EXYNOS),
    (SAMSUNG, 0x004): _big("exynos-m5", 3.0, 12, _EXYNOS),
    (MICROSOFT, 0xD49): _N2,  # Cobalt 100
    (AMPERE, 0xAC3): _big("ampere1", 2.0, 24, _V86),
    (AMPERE, 0xAC4): _big("ampere1a", 2.0, 24, _V86),
    (AMPERE, 0xAC5): ArmCpu("ampere1b", 2.0, False, 24, _V86, "ampere1a"),
    (AMPERE, 0xAC7): _big("ampere1c", 2.0, 24, _V9 | {"sha3"}),
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
