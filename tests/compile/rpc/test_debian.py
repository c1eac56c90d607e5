# SPDX-License-Identifier: Apache-2.0
"""What virtual boards are made of, for each of Debian's releases."""

from pathlib import Path

import pytest

from mnc.compile.rpc import debian, rootfs
from mnc.compile.rpc.rootfs import Root
from mnc.support.errors import UserError
from mnc.support.registry import debian_release


@pytest.mark.parametrize(
    ("codename", "python", "ssl", "qemu", "emulator"),
    [
        ("bookworm", "3.11", "libssl3", "qemu-user-static", "qemu-aarch64-static"),
        ("trixie", "3.13", "libssl3t64", "qemu-user", "qemu-aarch64"),
    ],
)
def test_packages_are_called_as_the_release_calls_them(
    codename: str, python: str, ssl: str, qemu: str, emulator: str
) -> None:
    release = debian.release(codename)
    assert {f"python{python}-minimal", f"libpython{python}-stdlib", ssl} < set(release.packages)
    assert (release.qemu, release.emulator("aarch64")) == (qemu, emulator)
    root = Root(Path("/root"), Path("/qemu"), release)
    assert root.command(root.python, cpu="max")[-1] == f"/root/usr/bin/python{python}"


def test_roots_of_two_releases_are_kept_apart() -> None:
    recipes = {
        rootfs._recipe(release, debian.system(arch), ["numpy==2"])
        for release in debian.RELEASES.values()
        for arch in debian.SYSTEMS
    }
    assert len(recipes) == 4


def test_another_release_is_named() -> None:
    with pytest.raises(UserError, match="bookworm or trixie, and this system is noble: use one"):
        debian.release("noble")
    with pytest.raises(UserError, match="this system is no Debian"):
        debian.release("")


def test_an_architecture_without_a_board_is_named() -> None:
    with pytest.raises(UserError, match="no virtual board for riscv64; choose a target of aarch64"):
        debian.system("riscv64")


def test_this_systems_release_is_the_one_it_tells() -> None:
    told = Path("/etc/os-release")
    text = told.read_text() if told.exists() else ""
    assert debian_release() in text and (debian_release() or "CODENAME" not in text)
