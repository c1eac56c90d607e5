# SPDX-License-Identifier: Apache-2.0
"""What a traced program reads of its CPU, by which runtimes choose kernels."""

import re
from pathlib import Path

import pytest

from mnc.compile.rpc.debian import RELEASES
from mnc.compile.rpc.rootfs import Root
from mnc.compile.tracing import board_files
from mnc.targets import load


@pytest.mark.parametrize(
    ("name", "part", "variant"), [("cortex_a55", 0xD05, 1), ("rpi3b", 0xD03, 0), ("rpi5", 0xD0B, 0)]
)
def test_files_name_one_core(tmp_path: Path, name: str, part: int, variant: int) -> None:
    """A Cortex-A55 with the dot product is none of the first revision, which XNNPACK's cpuinfo asks for."""
    (tmp_path / "root").mkdir()
    root = Root(tmp_path / "root", Path("/usr/bin/qemu-aarch64"), RELEASES["bookworm"])
    board = board_files.write(tmp_path / "board", root, load(name))
    listed = (board / "proc/cpuinfo").read_text()
    said = dict(re.findall(r"CPU (variant|part)\t: (\w+)", listed))
    midr = (board / "sys/devices/system/cpu/cpu0/regs/identification/midr_el1").read_text()
    assert {key: int(text, 16) for key, text in said.items()} == {"part": part, "variant": variant}
    assert (int(midr, 16) >> 4 & 0xFFF, int(midr, 16) >> 20 & 0xF) == (part, variant)
