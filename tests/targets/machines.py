# SPDX-License-Identifier: Apache-2.0
"""Other machines' /proc and /sys, written from a few lines of data a machine, as their kernels show them."""

from dataclasses import dataclass, field
from pathlib import Path

from mnc.targets.arm_cpus import AMPERE, APPLE, ARM, QUALCOMM

V80 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
V82 = f"{V80} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"
M1 = f"{V82} jscvt fcma sha3 sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp flagm2 frint"
ORYON = f"{M1} i8mm bf16 bti ecv afp rpres"
V1 = f"{V82} jscvt fcma sha3 sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs svei8mm svebf16 i8mm bf16 rng"
# Qualcomm's kernel keeps SVE to itself, though the cores have it.
SD8_GEN2 = (
    f"{V82} jscvt fcma sha3 sha512 asimdfhm dit uscat ilrcpc flagm ssbs sb frint i8mm bf16 bti"
)


@dataclass(frozen=True)
class Cluster:
    """`count` cores of a part. Caches are "size/ways/cores that share it", L1 data first; `mhz` and
    `capacity` are what the kernel says where it says anything.
    """

    count: int
    part: int = 0
    implementer: int = ARM
    mhz: int | None = None
    capacity: int | None = None
    caches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Machine:
    """`model` and `compatible` are the device tree's, `dmi` the firmware's vendor and product; `files` are
    more of them, by path.
    """

    clusters: tuple[Cluster, ...]
    features: str = ""
    model: str = ""
    compatible: tuple[str, ...] = ()
    dmi: tuple[str, str] | None = None
    files: dict[str, str] = field(default_factory=dict)

    def write(self, root: Path) -> Path:
        """The machine's files under `root`, which it gives."""
        cpu, blocks = 0, []
        for number, cluster in enumerate(self.clusters):
            for core in range(cluster.count):
                blocks.append(self._block(cpu + core, cluster))
                write_files(root / CPUS / f"cpu{cpu + core}", _cpu(cluster, number, core, cpu))
            cpu += cluster.count
        write_files(root, {"proc/cpuinfo": "\n".join(blocks)})
        tree = {"model": self.model, "compatible": "\0".join(self.compatible)}
        write_files(root / "proc/device-tree", {name: f"{s}\0" for name, s in tree.items() if s})
        names = ("sys_vendor", "product_name")
        write_files(root / "sys/class/dmi/id", dict(zip(names, self.dmi or (), strict=False)))
        write_files(root, self.files)
        return root

    def _block(self, cpu: int, cluster: Cluster) -> str:
        if not cluster.part:
            return f"processor\t: {cpu}\n{self.features}\n"
        return (
            f"processor\t: {cpu}\nBogoMIPS\t: 48.00\nFeatures\t: {self.features}\n"
            f"CPU implementer\t: 0x{cluster.implementer:02x}\nCPU architecture: 8\n"
            f"CPU variant\t: 0x1\nCPU part\t: 0x{cluster.part:03x}\nCPU revision\t: 1\n"
        )


CPUS = "sys/devices/system/cpu"


def _cpu(cluster: Cluster, number: int, core: int, first: int) -> dict[str, str]:
    """As since Linux 5.19: a core's number begins anew in each cluster of the one package."""
    ids = {"physical_package_id": 0, "cluster_id": number, "core_id": core}
    files = {f"topology/{name}": str(value) for name, value in ids.items()}
    if cluster.mhz is not None:
        files["cpufreq/cpuinfo_max_freq"] = str(cluster.mhz * 1000)
    if cluster.capacity is not None:
        files["cpu_capacity"] = str(cluster.capacity)
    for level, said in enumerate(cluster.caches, start=1):
        size, ways, shared = said.split("/")
        begin = first + core // int(shared) * int(shared)
        what = {"level": level, "type": "Data" if level == 1 else "Unified", "size": size}
        what |= {"coherency_line_size": 64, "ways_of_associativity": ways}
        what |= {"shared_cpu_list": f"{begin}-{begin + int(shared) - 1}"}
        files |= {f"cache/index{level}/{name}": str(value) for name, value in what.items()}
    return files


def write_files(folder: Path, files: dict[str, str]) -> None:
    """Files by their path under `folder`, each a line unless it ends in a zero byte."""
    for name, said in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said if said.endswith("\0") else f"{said}\n")


def cores(root: Path, core_of: dict[int, tuple[int, int]]) -> None:
    """The (package, core) of each logical CPU, as an older kernel tells it."""
    for cpu, (package, core) in core_of.items():
        ids = {"physical_package_id": f"{package}", "core_id": f"{core}"}
        write_files(root / CPUS / f"cpu{cpu}/topology", ids)


A76 = ("64K/4/1", "512K/8/1", "2048K/16/4")
HYBRID_FLAGS = (
    "cmov cx8 fxsr mmx sse sse2 cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3 abm avx avx2 bmi1 bmi2 f16c fma "
    "movbe xsave 3dnowprefetch adx pclmulqdq aes xsavec vaes vpclmulqdq avx_vnni gfni sha_ni"
)
RPI5 = Machine(
    (Cluster(4, 0xD0B, mhz=2400, capacity=1024, caches=A76),),
    V82,
    "Raspberry Pi 5 Model B Rev 1.0",
    ("raspberrypi,5-model-b", "brcm,bcm2712"),
)
RK3588 = Machine(
    (
        Cluster(4, 0xD05, mhz=1800, capacity=530, caches=("32K/4/1", "128K/4/1", "3072K/12/4")),
        Cluster(2, 0xD0B, mhz=2352, capacity=1024, caches=("64K/4/1", "512K/8/1", "3072K/12/2")),
        Cluster(2, 0xD0B, mhz=2304, capacity=1003, caches=("64K/4/1", "512K/8/1", "3072K/12/2")),
    ),
    V82,
    "Radxa ROCK 5B",
    ("radxa,rock-5b", "rockchip,rk3588"),
)
GRAVITON3 = Machine(
    (Cluster(4, 0xD40, caches=("64K/4/1", "1024K/8/1", "32768K/16/4")),),
    V1,
    dmi=("Amazon EC2", "c7g.xlarge"),
)
GRAVITON2 = Machine(
    (Cluster(2, 0xD0C, caches=("64K/4/1", "1024K/8/1", "32768K/16/2")),),
    V82,
    dmi=("Amazon EC2", "m6g.large"),
)
ALTRA = Machine(
    (Cluster(80, 0xD0C, mhz=3000, caches=("64K/4/1", "1024K/8/1")),),
    V82,
    dmi=("WIWYNN", "Mt.Jade Motherboard"),
)
AMPERE_ONE = Machine(
    (Cluster(8, 0xAC3, AMPERE, mhz=3200, caches=("64K/4/1", "2048K/8/1")),),
    ORYON,
    dmi=("Supermicro", "ARS-211M-NR"),
)
ASAHI = Machine(
    (
        Cluster(4, 0x022, APPLE, mhz=2064, capacity=422, caches=("64K/8/1", "4096K/16/4")),
        Cluster(4, 0x023, APPLE, mhz=3204, capacity=1024, caches=("128K/8/1", "12288K/12/4")),
    ),
    M1,
    "Apple MacBook Air (M1, 2020)",
    ("apple,j313", "apple,t8103"),
)
X_ELITE = Machine(
    (
        Cluster(4, 0x001, QUALCOMM, mhz=3417, capacity=1024, caches=("96K/6/1", "12288K/12/4")),
        Cluster(4, 0x001, QUALCOMM, mhz=4012, capacity=1024, caches=("96K/6/1", "12288K/12/4")),
        Cluster(4, 0x001, QUALCOMM, mhz=4012, capacity=1024, caches=("96K/6/1", "12288K/12/4")),
    ),
    ORYON,
    "Lenovo Yoga Slim 7x",
    ("lenovo,yoga-slim7x", "qcom,x1e80100"),
)
SNAPDRAGON_855 = Machine(  # its prime core is a gold one with a higher clock
    (
        Cluster(4, 0x805, QUALCOMM, mhz=1785, capacity=261),
        Cluster(3, 0x804, QUALCOMM, mhz=2419, capacity=871),
        Cluster(1, 0x804, QUALCOMM, mhz=2841, capacity=1024),
    ),
    V82,
    "Xiaomi Mi 9",
    ("xiaomi,cepheus", "qcom,sm8150"),
)
SNAPDRAGON_8_GEN_2 = Machine(
    (
        Cluster(3, 0xD46, mhz=2016, capacity=325),
        Cluster(2, 0xD4D, mhz=2803, capacity=841),
        Cluster(2, 0xD47, mhz=2803, capacity=840),
        Cluster(1, 0xD4E, mhz=3187, capacity=1024),
    ),
    SD8_GEN2,
    "Qualcomm Technologies, Inc. Kalama MTP",
    ("qcom,kalama-mtp", "qcom,kalama"),
)
SNAPDRAGON_8_ELITE = Machine(
    (Cluster(6, 0x002, QUALCOMM, mhz=3533), Cluster(2, 0x002, QUALCOMM, mhz=4320)),
    ORYON,
    "Samsung Galaxy S25",
    ("samsung,pa1q", "qcom,sm8750"),
)
DIMENSITY_9500 = Machine(
    (
        Cluster(4, 0xD8B, mhz=2700, capacity=500),
        Cluster(3, 0xD90, mhz=3500, capacity=900),
        Cluster(1, 0xD8C, mhz=4210, capacity=1024),
    ),
    f"{V1} sve2 frint",
    "vivo X300",
)
ALDER_LAKE = Machine(
    (
        Cluster(2, mhz=5200, caches=("48K/12/1", "1280K/10/1", "30720K/12/2")),
        Cluster(4, mhz=3900, caches=("32K/8/1", "2048K/16/4", "30720K/12/4")),
    ),
    f"vendor_id\t: GenuineIntel\nmodel name\t: 12th Gen Intel(R) Core(TM) i9\nflags\t\t: {HYBRID_FLAGS}",
    files={"sys/devices/cpu_core/cpus": "0-1", "sys/devices/cpu_atom/cpus": "2-5"},
)
