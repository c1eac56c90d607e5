# SPDX-License-Identifier: Apache-2.0
"""The commands that make a device of a board."""

import importlib.metadata
import subprocess

import pytest

from mnc.compile.rpc import enroll, rootfs
from mnc.support.errors import UserError


@pytest.mark.parametrize("kind", enroll.KINDS)
def test_the_commands_fit_this_environment_and_parse(kind: str) -> None:
    text = enroll.enroll(kind, key="rpi4", login="me@board", host="10.0.0.1", port=9200)
    version = importlib.metadata.version(rootfs.RUNTIME)
    assert f"{rootfs.RUNTIME}=={version}" in text
    assert "--key rpi4" in text and "9200" in text and "rpc://" in text
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_only_the_closed_network_is_opened() -> None:
    assert "--host 0.0.0.0" in enroll.enroll("linux", key="rpi4", host="10.0.0.1")
    for kind in ("ssh", "android"):
        text = enroll.enroll(kind, key="rpi4")
        assert "0.0.0.0" not in text
        assert "--host 127.0.0.1" in text
    assert "NOT TRIED" in enroll.enroll("android", key="pixel2")


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match="unknown kind of device 'ios'; choose one of linux, ssh"):
        enroll.enroll("ios", key="phone")
    with pytest.raises(UserError, match=r"cannot reach a tracker at 127\.0\.0\.1.*enroll ssh"):
        enroll.enroll("linux", key="rpi4", host="127.0.0.1")
    with pytest.raises(UserError, match="cannot be a device's key"):
        enroll.enroll("ssh", key="my pi")
