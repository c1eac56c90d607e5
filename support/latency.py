# SPDX-License-Identifier: Apache-2.0
"""What repeated timings of one call say."""

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Times of one call, in seconds, all in the order measured. `threads` is None where unknown."""

    times: tuple[float, ...]
    threads: int | None = None

    @property
    def median(self) -> float:
        """Half of the calls took less."""
        return statistics.median(self.times)

    @property
    def minimum(self) -> float:
        """The fastest call."""
        return min(self.times)

    @property
    def p90(self) -> float:
        """Nine calls of ten took at most this."""
        return sorted(self.times)[max(0, -(-9 * len(self.times) // 10) - 1)]

    @property
    def spread(self) -> float:
        """The interquartile range as a share of the median: what the machine's noise was."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return (high - low) / self.median
