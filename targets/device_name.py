# SPDX-License-Identifier: Apache-2.0
"""What kind of device this is, in words that another one of its kind has as well.

Takes the device tree, else the firmware's tables (DMI), else what /proc/cpuinfo says of the board; gives the
name without the board's revision, and the `-model` of a target made from a name.
"""

import re
from pathlib import Path

from mnc.targets.kernel_files import ROOT, text

DEVICE_TREES = ("proc/device-tree", "sys/firmware/devicetree/base")
DMI = "sys/class/dmi/id"
REVISION = re.compile(
    r"\b(rev(ision)?|ver(sion)?)\b[ .:_-]*[\w.]+|\brev\d[\w.]*|\bv\d+(\.\d+)*[a-z]?\b|\(\d+(\.\d+)+\)",
    re.I,
)
# What firmware says when nobody filled it in.
BLANKS = re.compile(
    r"to be filled.*|default string|system (product name|manufacturer|version)|not (specified|applicable)"
    r"|none|unknown|n/a|o\.?e\.?m\.?|empty|0+|x+",
    re.I,
)
# Clouds name a product for each size of the same machine.
SIZES = re.compile(r"[a-z]\w*\.(\d*x?large|medium|small|micro|nano|metal\S*)", re.I)
NOISE = re.compile(r"\((r|tm|c)\)|@.*|\b\d+-core\b|\b(cpu|processor)\b")


def device_tree(name: str, root: Path = ROOT) -> tuple[str, ...]:
    """The strings of a property of the device tree's root ("model", "compatible"); none without one."""
    found = (text(root / tree / name) for tree in DEVICE_TREES)
    return tuple(part.strip() for part in next(filter(None, found), "").split("\0") if part.strip())


def device_name(root: Path = ROOT) -> str:
    """Such as "Raspberry Pi 5 Model B" or "Amazon EC2"; "" where nothing tells."""
    board = next(iter(device_tree("model", root)), "")
    return _without_revision(board or _firmware(root) or _by_cpuinfo(root))


def model_slug(marketing_name: str, mcpu: str, *, prefix: str) -> str:
    """The `-model` of this kind of CPU, the same after every boot, at most 100 characters.

    ("Intel(R) Xeon(R) Processor @ 2.60GHz", "sapphirerapids", prefix="x86") gives
    "x86-intel-xeon-sapphirerapids".
    """
    words = re.findall(r"[a-z0-9]+", NOISE.sub(" ", marketing_name.lower()))
    return "-".join([prefix, *"-".join(words)[:60].split("-"), mcpu]).replace("--", "-")


def _without_revision(name: str) -> str:
    return " ".join(REVISION.sub(" ", name).split())


def _firmware(root: Path) -> str:
    """Vendor and product; the board's where the system's were left blank."""
    for vendor, product in (("sys_vendor", "product_name"), ("board_vendor", "board_name")):
        said = [text(root / DMI / name).strip() for name in (vendor, product)]
        words = [word for word in said if word and not BLANKS.fullmatch(word)]
        kept = [word for word in words if not SIZES.fullmatch(word)]
        if kept:
            return " ".join(kept)
    return ""


def _by_cpuinfo(root: Path) -> str:
    """The lines after the processors: "Model : Raspberry Pi 4 ...", "Hardware : Qualcomm ... SM8550"."""
    said = dict(re.findall(r"^(Model|Hardware)\s*:\s*(.+)$", text(root / "proc/cpuinfo"), re.M))
    return str(said.get("Model") or said.get("Hardware") or "")
