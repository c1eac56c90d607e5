# SPDX-License-Identifier: Apache-2.0
"""One contest: every runtime on the same network, input, processors and thread count, in turns.

Takes peers and a folder of model files; gives an Entry for each. All are loaded and compared with
PyTorch first. Then come rounds: in each, in an order drawn anew, every runtime is thawed, runs a few
calls untimed and a few timed, and is frozen again, so that none can disturb another.
"""

import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import judging
from bench.peer import Peer, home
from bench.results import Entry, quartiles
from bench.worker_process import Worker
from mnc.support.errors import UserError

UNTIMED, CALLS = 2, 10
BURST = 0.5  # seconds a burst may take about; slow runtimes make fewer calls, at least 1 of each
WARM, WARM_CALLS = 2.0, 30  # seconds, calls before the first round: JITs settle
PAUSE = 0.1  # seconds between bursts, with every runtime frozen


@dataclass
class Runner:
    """A runtime that takes part: its process, what is known of it, its times by round."""

    peer: Peer
    worker: Worker
    known: dict[str, Any]
    untimed: int = UNTIMED
    calls: int = CALLS
    why: str = ""
    bursts: list[list[float]] = field(default_factory=list)


def contest(
    peers: Sequence[Peer],
    folder: Path,
    *,
    failures: Mapping[str, str],
    threads: int,
    cpus: Sequence[int],
    rounds: int,
    say: Callable[[str], None] = print,
) -> tuple[tuple[Entry, ...], float]:
    """(entries in the order of `peers`, share of the processors that others used in the pauses).

    `failures` maps recipes to why there is no model file. A runtime that fails, or whose outputs are wrong
    (`judging`), gets an Entry that says so and no times.
    """
    entries: dict[str, Entry] = {}
    busy = Busy(cpus)
    with ExitStack() as stack:
        runners: list[Runner] = []
        for peer in peers:
            try:
                if peer.recipe in failures:
                    raise UserError(failures[peer.recipe])
                place = home(folder, peer.precision)
                worker = stack.enter_context(Worker(peer, place, threads=threads, cpus=cpus))
                runners.append(_admit(peer, worker, place))
            except UserError as error:
                say(f"  {peer.title}: {error}")
                entries[peer.key] = Entry(peer=peer.key, why=str(error))
        _rounds(runners, rounds, busy, say)
        for runner in runners:
            entries[runner.peer.key] = _entry(runner)
    return tuple(entries[peer.key] for peer in peers), busy.share


def _admit(peer: Peer, worker: Worker, folder: Path) -> Runner:
    """Compare with PyTorch, warm up, freeze."""
    likeness = judging.judge(worker, folder, peer.precision)
    (first,) = worker.ask("run", untimed=1, calls=1)["seconds"]
    warm = max(1, min(WARM_CALLS, int(WARM / first)))
    each = statistics.median(worker.ask("run", untimed=0, calls=warm)["seconds"])
    memory = worker.ask("memory", packages=list(peer.packages))
    worker.freeze()
    before = worker.facts["rss_before"]
    known = {
        "version": worker.facts["version"],
        "error": likeness.error,
        "logit_error": likeness.logit_error,
        "agreement": likeness.agreement,
        "load_seconds": worker.facts["load_seconds"],
        "workspace_bytes": worker.facts["workspace_bytes"],
        "rss_growth": memory["rss"] - before,
        "peak_growth": memory["peak"] - before,
        "library_bytes": memory["libraries"],
        "model_bytes": sum((folder / file).stat().st_size for file in peer.files),
    }
    untimed, calls = (max(1, min(most, int(BURST / each))) for most in (UNTIMED, CALLS))
    return Runner(peer, worker, known, untimed=untimed, calls=calls)


def _rounds(runners: list[Runner], rounds: int, busy: "Busy", say: Callable[[str], None]) -> None:
    order = random.Random(0)
    for number in range(1, rounds + 1):
        for runner in order.sample(runners, len(runners)):
            busy.pause(PAUSE)
            if not runner.why:
                _burst(runner)
        if number % 10 == 0 or number == rounds:
            say(f"  round {number} of {rounds}")


def _burst(runner: Runner) -> None:
    runner.worker.thaw()
    try:
        answer = runner.worker.ask("run", untimed=runner.untimed, calls=runner.calls)
        runner.bursts.append(answer["seconds"])
        runner.worker.freeze()
    except UserError as error:
        runner.why = f"failed in round {len(runner.bursts) + 1}: {error}"
        with suppress(ProcessLookupError):
            runner.worker.close()


def _entry(runner: Runner) -> Entry:
    known = Entry(peer=runner.peer.key, why=runner.why, **runner.known)
    if runner.why or not runner.bursts:
        return known
    times = [seconds for burst in runner.bursts for seconds in burst]
    low, middle, high = quartiles(times)
    return Entry(
        peer=runner.peer.key,
        calls=len(times),
        median=middle,
        low=low,
        high=high,
        minimum=min(times),
        rounds=tuple(statistics.median(burst) for burst in runner.bursts),
        **runner.known,
    )


class Busy:
    """How much of some processors is used while all runtimes are frozen: by others, that is."""

    def __init__(self, cpus: Sequence[int]) -> None:
        self._names = {f"cpu{cpu}" for cpu in cpus}
        self._used = self._passed = 0.0

    def pause(self, seconds: float) -> None:
        """Sleep, counting."""
        before, started = self._ticks(), time.monotonic()
        time.sleep(seconds)
        self._used += (self._ticks() - before) / os.sysconf("SC_CLK_TCK")
        self._passed += time.monotonic() - started

    @property
    def share(self) -> float:
        """0 for a quiet machine, 1 when others used the processors all the time."""
        return self._used / (self._passed * len(self._names)) if self._passed else 0.0

    def _ticks(self) -> int:
        """User, nice, system, interrupts and stolen time; not idle, not waiting for disks."""
        rows = (line.split() for line in Path("/proc/stat").read_text().splitlines())
        used = [row for row in rows if row and row[0] in self._names]
        return sum(int(row[index]) for row in used for index in (1, 2, 3, 6, 7, 8))
