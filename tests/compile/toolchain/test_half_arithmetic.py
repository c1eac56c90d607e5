# SPDX-License-Identifier: Apache-2.0
"""Targets whose cores compute in half precision, and what the others are told."""

import platform

import msgspec
import pytest

from mnc.compile.api.named import ModelSpec, as_model
from mnc.compile.toolchain import half_arithmetic
from mnc.support.errors import UserError
from mnc.targets import load, names

ABLE = {"cortex_a55", "dimensity1200", "rk3588", "rpi5", "snapdragon855", "snapdragon865"}
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="describes an x86-64 host")
ARM_NAMES = [name for name in names() if name != "x86"]


def test_cores_of_armv8_2_have_it() -> None:
    assert {name for name in ARM_NAMES if half_arithmetic.has(load(name))} == ABLE


def test_a_cpu_has_it_whether_its_target_says_so_or_not() -> None:
    assert half_arithmetic.has(msgspec.structs.replace(load("rpi5"), mattr=("+neon",)))


@pytest.mark.parametrize(
    ("name", "has", "instead"),
    [
        ("rpi4", "cortex-a72 has neon", "--precision int8"),
        pytest.param("x86", " has ", "--weight-storage", marks=on_x86),
    ],
)
def test_others_are_refused_before_anything_is_loaded(name: str, has: str, instead: str) -> None:
    with pytest.raises(UserError) as caught:
        as_model(ModelSpec("no_such_model", precision="fp16"), load(name))
    said = str(caught.value)
    assert has in said and instead in said and "\n" not in said
    assert said.endswith(", ".join(sorted(ABLE)))
