# SPDX-License-Identifier: Apache-2.0
"""Whose fault it was: a kernel is blamed when it died of its own doing, or wherever it went."""

from msgspec.structs import replace

from mnc.compile.measure.device_failure import (
    ATTEMPTS,
    KernelWork,
    by_comparison,
    by_device,
    by_time,
)
from mnc.compile.measure.messages import Connected, RunJob

DEVICE = Connected(host="board", port=9090, round_trip=0.01, identity="one", crashes=3)


def work() -> KernelWork:
    return KernelWork(1, 0, RunJob("k.so", (), None, None, 0, 0.1))


def test_a_session_that_died_by_itself_is_the_kernel_s_doing() -> None:
    after = replace(DEVICE, crashes=4, last_exit=-11)
    verdict = by_comparison(work(), "call", DEVICE, after, "reset")
    assert verdict == ("crash", "the kernel died on the device: SIGSEGV", True)


def test_what_others_did_to_the_device_says_nothing_of_the_kernel() -> None:
    killed = by_comparison(
        work(), "call", DEVICE, replace(DEVICE, crashes=4, last_exit=-9), "reset"
    )
    restarted = by_comparison(work(), "call", DEVICE, replace(DEVICE, identity="two"), "reset")
    network = by_comparison(work(), "load", DEVICE, DEVICE, "reset")
    for verdict, words in ((killed, "was killed"), (restarted, "restarted"), (network, "lost its")):
        assert verdict.error == "device" and words in verdict.message and not verdict.final


def test_a_kernel_that_loses_every_device_is_to_blame() -> None:
    suspect = work()
    verdicts = [by_device(suspect, "gone", suspect=True) for _ in range(ATTEMPTS - 1)]
    assert [verdict.error for verdict in verdicts] == ["device"] * (ATTEMPTS - 2) + ["crash"]
    unlucky = work()
    verdicts = [by_device(unlucky, "gone") for _ in range(ATTEMPTS)]
    assert [verdict.final for verdict in verdicts] == [False] * (ATTEMPTS - 1) + [True]
    assert verdicts[-1].error == "device"


def test_only_the_second_late_answer_counts_against_the_kernel() -> None:
    slow = work()
    assert by_time(slow, DEVICE, 10.0, alive=True).error == "device"
    assert by_time(slow, DEVICE, 10.0, alive=True) == (
        "timeout",
        "the kernel took over 10 s",
        True,
    )
    assert "hangs" in by_time(work(), DEVICE, 10.0, alive=False).message
