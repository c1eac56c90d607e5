# SPDX-License-Identifier: Apache-2.0
"""Time an artifact's session, as `load` gives it and in TVM's runtime, against its exported library in turns.

Usage: python -m bench.export_speed ARTIFACT EXPORTED [--threads 1 2] [--seconds 10] [--most 1.02]
Prints the medians and their ratios; exit status 1 when the first is above `--most`.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from mnc.compile.artifact import store as artifacts
from mnc.compile.export.exporter import RECORD, Record
from mnc.compile.runtime import benchmark
from mnc.compile.runtime import session as runner
from mnc.compile.runtime.freestanding import Freestanding, aligned
from mnc.compile.runtime.local_session import open_local
from mnc.support.errors import UserError


class Comparison(msgspec.Struct, frozen=True):
    """Median latencies in seconds: of the exported library, of the session that `load` gives, and in TVM's
    runtime.
    """

    threads: int
    library: float
    session: float
    hosted: float


def compare(folder: Path, exported: Path, *, threads: int, seconds: float = 10.0) -> Comparison:
    """Time all three with `threads` threads, `seconds` each, as `benchmark.interleave` takes turns."""
    record = msgspec.json.decode((exported / RECORD).read_bytes(), type=Record)
    artifact = artifacts.load(folder)
    session = open_local(artifact, threads=threads)
    hosted = runner.Session(artifact, threads=threads)
    inputs = [aligned(array) for array in runner.default_input(session)]
    path = exported / f"lib{record.prefix}.so"
    with Freestanding(path, prefix=record.prefix, threads=threads) as library:
        rivals = {"library": lambda: library.run(*inputs), "hosted": lambda: hosted.run(*inputs)}
        found = benchmark.bench(session, *inputs, seconds=seconds, most=10_000, rivals=rivals)
    return Comparison(threads, found["library"].median, found["mnc"].median, found["hosted"].median)


def main() -> int:
    """Compare for each number of threads; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--most", type=float, default=1.02, help="the largest ratio that passes")
    options = parser.parse_args()
    slow = False
    for threads in options.threads:
        result = compare(
            options.artifact, options.exported, threads=threads, seconds=options.seconds
        )
        ratio = result.session / result.library
        slow |= ratio > options.most
        print(
            f"{threads} thread(s): library {result.library * 1e3:.3f} ms, session"
            f" {result.session * 1e3:.3f} ms, {ratio:.3f} of it; in TVM's runtime"
            f" {result.hosted * 1e3:.3f} ms, {result.hosted / result.library:.3f}"
        )
    return int(slow)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
