# SPDX-License-Identifier: Apache-2.0
"""Where costs come from: this machine for its own target, a named device, the core model for the rest."""

import pytest

from mnc.compile.cli import run
from mnc.compile.measure.factory import How, kind, note
from mnc.support.errors import UserError
from mnc.targets import load


def test_only_this_machine_s_own_target_is_timed_here() -> None:
    assert kind(load("host"), How()) == "here"
    for name in ("arm", "rk3399", "rpi3b", "rpi4", "rpi5", "pixel2"):
        assert kind(load(name), How()) == "simulated"


def test_what_is_asked_for_is_done() -> None:
    host, board = load("host"), load("rk3399")
    assert kind(board, How(device="rpc://127.0.0.1:9190/rk3399")) == "device"
    assert kind(board, How(workers=2)) == kind(board, How(tracker="a:1")) == "simulated"
    assert kind(host, How(simulate=True)) == "simulated"


@pytest.mark.parametrize("wish", [How(simulate=True), How(workers=1), How(tracker="a:1")])
def test_a_device_is_not_simulated(wish: How) -> None:
    with pytest.raises(UserError, match="a device measures for itself"):
        kind(load("rk3399"), How(device="rpc://a:1/b", **{k: getattr(wish, k) for k in _set(wish)}))


def _set(how: How) -> list[str]:
    return [name for name in ("simulate", "workers", "tracker") if getattr(how, name)]


def test_one_line_says_what_it_is_worth() -> None:
    words = note(load("rk3399"), How())
    assert words is not None and "\n" not in words
    for part in ("simulated", "2x cortex-a72 at 1.8 GHz", "--device rpc://HOST:PORT/rk3399"):
        assert part in words
    assert note(load("host"), How()) is None
    assert note(load("rk3399"), How(device="rpc://a:1/b")) is None


def test_too_many_threads_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tune", "mobilenet_v1_28", "--target", "rk3399", "--threads", "3"]) == 1
    said = capsys.readouterr().err
    assert "3 threads do not fit the 2 cortex-a72 cores of rk3399" in " ".join(said.split())
