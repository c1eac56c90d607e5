# SPDX-License-Identifier: Apache-2.0
"""Devices by the API: trackers named as text, checks as values."""

import pytest

from mnc.compile import api
from mnc.support.errors import UserError


def test_a_tracker_without_devices_lists_none() -> None:
    with api.start_tracker(port=9390) as tracker:
        assert api.list_devices(str(tracker)) == ()
        checks = api.doctor("host", device=f"rpc://{tracker}/rpi4")
    broken = [check for check in checks if not check.ok]
    assert [check.name for check in broken] == ["tracker"] and "rpi4" in broken[0].fix


def test_the_chain_of_this_machine_is_sound() -> None:
    checks = api.doctor()
    assert [check.name for check in checks] == ["compiler", "result"]
    assert all(check.ok for check in checks)


@pytest.mark.parametrize("text", ["rpc://", "somewhere:port", "a:70000"])
def test_what_names_no_tracker_is_said(text: str) -> None:
    with pytest.raises(UserError, match="give rpc://HOST:PORT/KEY"):
        api.list_devices(text)
