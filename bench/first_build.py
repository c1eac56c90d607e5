# SPDX-License-Identifier: Apache-2.0
"""A first build on a CPU without a log, against default kernels and against a full tune's build, in turns.

`python -m bench.first_build [MODEL]` makes the three from an empty log and prints each one's time over the
last one's: median [quartiles] of ROUNDS. What this CPU's own logs know is not used. A full tune takes some
minutes; `--logs FOLDER ...` takes logs of earlier tunes in its place, and races the build of each.
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
    parser.add_argument("--trials", type=int, help="of the full tune [default: as mnc tune]")
    parser.add_argument("--logs", type=Path, nargs="+", default=[], metavar="FOLDER")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mnc-first-build-") as name:
        folder = Path(name)
        logs = folder / "logs"
        builds = {
            "default kernels": _build(args.model, folder / "default", logs),
            "first build": _build(args.model, folder / "first", logs, quick_tune=args.quick_tune),
        }
        if not args.logs:
            _say("a full tune")
            api.tune(args.model, trials=args.trials, logs=logs)
        for number, tuned in enumerate(args.logs or [logs], start=1):
            builds[f"full tune {tuned.name}"] = _build(args.model, folder / str(number), tuned)
        for threads in (1, 2):
            _race(builds, threads)


def _say(text: str) -> None:
    """It is a matter of minutes: what it is at, at once, also into a pipe."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _build(model: str, out: Path, logs: Path, *, quick_tune: float = 0) -> Path:
    _say(f"build {out.name} with logs {logs}, {quick_tune:g} s of quick tuning")
    return api.build(model, out=out, logs=logs, check=False, quick_tune=quick_tune).folder


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
        _say(
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
