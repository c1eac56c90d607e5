# SPDX-License-Identifier: Apache-2.0
"""Names of devices: the same for two of a kind, whatever revision or size they are."""

from pathlib import Path

import pytest

from mnc.targets.device_name import device_name, model_slug
from tests.targets.machines import write_files


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "Raspberry Pi 5 Model B"),
        ("Pine64 RockPro64 v2.1", "Pine64 RockPro64"),
        ("Pine64 PinePhone (1.2)", "Pine64 PinePhone"),
        ("BeagleBone Revision C", "BeagleBone"),
        ("Apple MacBook Air (M1, 2020)", "Apple MacBook Air (M1, 2020)"),
        ("Lenovo ThinkPad T14s Gen 6", "Lenovo ThinkPad T14s Gen 6"),
    ],
)
def test_a_name_has_no_board_revision(model: str, name: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"proc/device-tree/model": f"{model}\0"})
    assert device_name(tmp_path) == name


@pytest.mark.parametrize(
    ("dmi", "name"),
    [
        (("Amazon EC2", "c7g.16xlarge", "", ""), "Amazon EC2"),
        (("Amazon EC2", "c6g.metal", "", ""), "Amazon EC2"),
        (
            ("To Be Filled By O.E.M.", "Default string", "ASRockRack", "ALTRAD8UD"),
            "ASRockRack ALTRAD8UD",
        ),
        (("", "", "", ""), ""),
    ],
)
def test_firmware_names_no_size_and_no_blanks(
    dmi: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    files = ("sys_vendor", "product_name", "board_vendor", "board_name")
    write_files(tmp_path / "sys/class/dmi/id", dict(zip(files, dmi, strict=True)))
    assert device_name(tmp_path) == name


def test_android_says_it_in_cpuinfo(tmp_path: Path) -> None:
    said = "processor\t: 0\n\nHardware\t: Qualcomm Technologies, Inc SM8550\n"
    write_files(tmp_path, {"proc/cpuinfo": said})
    assert device_name(tmp_path) == "Qualcomm Technologies, Inc SM8550"


@pytest.mark.parametrize(
    ("name", "mcpu", "slug"),
    [
        ("Intel(R) Xeon(R) Processor @ 2.60GHz", "sapphirerapids", "x86-intel-xeon-sapphirerapids"),
        ("Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz", "skylake", "x86-intel-core-i7-9750h-skylake"),
        ("AMD EPYC 7763 64-Core Processor", "znver3", "x86-amd-epyc-7763-znver3"),
        ("", "x86-64", "x86-x86-64"),
        ("名前", "znver3", "x86-znver3"),
    ],
)
def test_model_slug(name: str, mcpu: str, slug: str) -> None:
    assert model_slug(name, mcpu, prefix="x86") == slug


def test_a_long_name_leaves_room_for_the_cpu() -> None:
    slug = model_slug("long " * 40, "sapphirerapids", prefix="x86")
    assert slug.endswith("-sapphirerapids")
    assert len(slug) <= 100
