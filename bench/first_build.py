# SPDX-License-Identifier: Apache-2.0
"""A first build on a CPU without a log, against default kernels and against a full tune's build, in turns.

`python -m bench.first_build [MODEL]` makes the three from an empty log and prints each one's time over the
last one's: median [quartiles] of ROUNDS. What this CPU's own logs know is not used.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mnc.compile import api
from mnc.compile.runtime.session import default_input

ROUNDS, RUNS, WARM_UP = 60, 6, 20


def main() -> None:
    """Build, tune, build, race at one thread and two."""
    parser = argparse.ArgumentParser(description="race a first build against a full tune's")
    parser.add_argument("model", nargs="?", default="mobilenet_v1_1.0_224")
    parser.add_argument("--quick-tune", type=float, default=45.0, metavar="SECONDS")
    parser.add_argument("--trials", type=int, help="of the full tune [default: 64 a task]")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mnc-first-build-") as name:
        folder = Path(name)
        builds = {
            "default kernels": _build(args.model, folder, "default", quick_tune=0),
            "first build": _build(args.model, folder, "first", quick_tune=args.quick_tune),
        }
        api.tune(args.model, trials=args.trials, logs=folder / "logs")
        builds["after a full tune"] = _build(args.model, folder, "full", quick_tune=0)
        for threads in (1, 2):
            _race(builds, threads)


def _build(model: str, folder: Path, name: str, *, quick_tune: float) -> Path:
    return api.build(
        model, out=folder / name, logs=folder / "logs", check=False, quick_tune=quick_tune
    ).folder


def _race(builds: dict[str, Path], threads: int) -> None:
    calls = {name: _call(path, threads) for name, path in builds.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        _median(call, WARM_UP)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(_median(call, RUNS))
    last = times[list(times)[-1]]
    for name, some in times.items():
        ratios = [one / other for one, other in zip(some, last, strict=True)]
        low, middle, high = statistics.quantiles(ratios)
        milliseconds = 1e3 * statistics.median(some)
        print(
            f"{threads} threads, {name}: {milliseconds:.3f} ms, {middle:.3f} [{low:.3f}, {high:.3f}]"
        )


def _call(path: Path, threads: int) -> Callable[[], object]:
    session = api.load(path, threads=threads)
    inputs = default_input(session)
    return lambda: session.run(*inputs)


def _median(call: Callable[[], object], runs: int) -> float:
    """Seconds of one run."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
