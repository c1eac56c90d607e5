# SPDX-License-Identifier: Apache-2.0
"""Time a freestanding library against its artifact in TVM's runtime, in turns, on the same input.

Usage: python -m bench.export_speed ARTIFACT EXPORTED [--threads 1 2] [--seconds 10] [--most 1.03]
Prints both medians and their ratio; exit status 1 when a ratio is above `--most`.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from mnc.compile.artifact import store as artifacts
from mnc.compile.export.exporter import RECORD, Record
from mnc.compile.export.loading import Freestanding, aligned
from mnc.compile.runtime import benchmark
from mnc.compile.runtime import session as runner
from mnc.support.errors import UserError


class Comparison(msgspec.Struct, frozen=True):
    """Median latencies in seconds, and the first divided by the second."""

    threads: int
    freestanding: float
    hosted: float

    @property
    def ratio(self) -> float:
        """Above 1 the freestanding library is the slower one."""
        return self.freestanding / self.hosted


def compare(folder: Path, exported: Path, *, threads: int, seconds: float = 10.0) -> Comparison:
    """Time both with `threads` threads, `seconds` each, as `benchmark.interleave` takes turns."""
    record = msgspec.json.decode((exported / RECORD).read_bytes(), type=Record)
    session = runner.Session(artifacts.load(folder), threads=threads)
    inputs = runner.default_input(session)
    library = exported / f"lib{record.prefix}.so"
    with Freestanding(library, prefix=record.prefix, threads=threads) as free:
        ready = [aligned(array) for array in inputs]
        rivals = {"freestanding": lambda: free.run(*ready)}
        found = benchmark.bench(session, *inputs, seconds=seconds, most=10_000, rivals=rivals)
    return Comparison(threads, found["freestanding"].median, found["mnc"].median)


def main() -> int:
    """Compare for each number of threads; the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--most", type=float, default=1.03, help="the largest ratio that passes")
    options = parser.parse_args()
    slow = False
    for threads in options.threads:
        result = compare(
            options.artifact, options.exported, threads=threads, seconds=options.seconds
        )
        slow |= result.ratio > options.most
        print(
            f"{threads} thread(s): freestanding {result.freestanding * 1e3:.3f} ms, "
            f"in TVM's runtime {result.hosted * 1e3:.3f} ms, ratio {result.ratio:.3f}"
        )
    return int(slow)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
