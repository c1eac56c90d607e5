# SPDX-License-Identifier: Apache-2.0
"""Times sessions and their rivals in turns, so that a change of the machine's speed meets all of them."""

import gc
import time
from collections.abc import Callable, Mapping

from mnc.compile.runtime.session import Array, Session
from mnc.support.latency import Latency

BURST, PAUSE = 10, 0.25  # calls, seconds


def bench(
    session: Session,
    *inputs: Array,
    seconds: float = 3.0,
    most: int = 1000,
    rivals: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Latency]:
    """Time `session.run(*inputs)`, under the key "mnc", and each of `rivals` under its own.

    They take turns, as `interleave` has it, until `seconds` a contestant have passed; each is timed
    at least 10 times and about `most` times at most.
    """
    session.check_inputs(inputs)
    calls: dict[str, Callable[[], object]] = {"mnc": lambda: session.run(*inputs)}
    calls |= rivals or {}
    times = interleave(calls, seconds=seconds * len(calls), most=most)
    known = {"mnc": session.threads}
    return {name: Latency(tuple(t), threads=known.get(name)) for name, t in times.items()}


def interleave(
    calls: Mapping[str, Callable[[], object]], *, seconds: float, most: int = 1000, least: int = 10
) -> dict[str, list[float]]:
    """Seconds of each call. The contestants take turns, so that a change in the machine's speed meets
    all of them. A turn is a pause, one call that is not timed, which fills the caches again, and `BURST`
    that are. The pause lets the threads of the one before fall asleep: those of OpenMP spin for up to
    0.2 s after their work and would take a core from the next. No garbage is collected meanwhile.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(3):
            call()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        end = time.monotonic() + seconds
        for done in range(0, max(most, least), BURST):
            if done >= least and time.monotonic() > end:
                break
            for name, call in calls.items():
                if len(calls) > 1:
                    time.sleep(PAUSE)
                    call()
                for _ in range(BURST):
                    start = time.perf_counter()
                    call()
                    times[name].append(time.perf_counter() - start)
    finally:
        if was_enabled:
            gc.enable()
    return times
