# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C is not lost where Python drops exceptions."""

import signal
import time
from collections.abc import Iterator

import pytest
import tvm

from mnc.compile.cli import interrupts


@pytest.fixture
def watching() -> Iterator[None]:
    """As in the command line's process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupts.watch()
    yield
    signal.signal(signal.SIGINT, before)


class Finalized:
    """Meets Ctrl-C as it goes."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "meet",
    [Finalized, tvm.runtime.convert(lambda: signal.raise_signal(signal.SIGINT))],
    ids=["in a finalizer", "in what TVM calls"],
)
def test_ctrl_c_comes_a_moment_later(
    meet: object, watching: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert callable(meet)
    with pytest.raises(KeyboardInterrupt):
        meet()
        time.sleep(10)
    assert capfd.readouterr().err == ""
