# SPDX-License-Identifier: Apache-2.0
"""AArch64's depthwise convolution of bytes by `sdot`, rows of pixels in our own order.

Takes a `Kernel`; gives its assembly. Of eight channels at a time, a column's bytes are sorted by channels
(zip1, zip2) once, and added to the sums of all pixels that read it while those slide along the row: weights,
sums and what stores them stay in registers. What each instruction waits for was begun a column before.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mnc.compile.templates import stored_sums
from mnc.compile.templates.assembly_function import REGISTERS, VECTOR_BYTES
from mnc.compile.templates.stored_sums import LANES, Bounds

LEAST_DOWN, MOST_DOWN, MOST_ACROSS = 3, 4, 3
VECTORS = 2  # of sums, in half a block of channels
HALF = VECTOR_BYTES // 2
# Integer registers: weights, bytes from a source row to the next, data; a counter, where a row is stored,
# its source rows.
WEIGHTS, APART, DATA, COUNT, PLACE, ROWS = 7, 8, 9, 10, 11, 12
MOST_PIXELS = 63  # of a row, whose sums an addition of a constant passes


@dataclass(frozen=True)
class Kernel:
    """`rows` of `pixels` that lie one behind another, each of `taps` (down, across); `steps` in the source
    from one to the next.
    """

    rows: int
    pixels: int
    taps: tuple[int, int]
    steps: tuple[int, int]

    @property
    def columns(self) -> int:
        """That a row of pixels reads."""
        return (self.pixels - 1) * self.steps[1] + self.taps[1]

    def reading(self, column: int) -> list[tuple[int, int]]:
        """Pixels that read it, and by which tap."""
        taps = ((pixel, column - pixel * self.steps[1]) for pixel in range(self.pixels))
        return [(pixel, tap) for pixel, tap in taps if 0 <= tap < self.taps[1]]

    def done(self, column: int) -> list[int]:
        """Pixels that read nothing behind it."""
        return [pixel for pixel, tap in self.reading(column) if tap == self.taps[1] - 1]


def assembly(kernel: Kernel, bounds: Bounds | None = None) -> list[str]:
    """All rows of one half of the channels, then of the other; sums, or bytes where there are `bounds`."""
    return [line for half in range(2) for line in _half(kernel, half, bounds)]


def _half(kernel: Kernel, half: int, bounds: Bounds | None) -> Iterator[str]:
    down, across = kernel.taps
    free = list(range(REGISTERS))
    weights = [[free.pop(0) for _ in range(VECTORS)] for _ in range(across)]
    kept = [free.pop(0) for _ in range(stored_sums.SPARE - 3 * VECTORS if bounds else 0)]
    pixel_bytes = VECTOR_BYTES if bounds else VECTOR_BYTES * VECTOR_BYTES // 4
    yield f"add x{ROWS}, x{DATA}, #{HALF * half}"
    yield from (f"add x{ROWS + i}, x{ROWS + i - 1}, x{APART}" for i in range(1, down))
    yield f"add x{PLACE}, x{stored_sums.OUT}, #{pixel_bytes // 2 * half}"
    for tap, pair in enumerate(weights):
        yield from _weights(kernel, tap, half, [*pair, *free[: down - VECTORS]], free[down])
    if bounds:
        first = VECTORS * LANES * half
        yield from stored_sums.constants(kept, bounds, vectors=VECTORS, first=first, begun=True)
    yield f"mov w{COUNT}, #{kernel.rows}"
    yield "1:"
    yield from _Row(kernel, half, bounds, weights, kept, free).lines()
    yield f"subs w{COUNT}, w{COUNT}, #1"
    yield f"add x{PLACE}, x{PLACE}, #{pixel_bytes * kernel.pixels}"
    for i, _ in itertools.product(range(down), range(kernel.steps[0])):
        yield f"add x{ROWS + i}, x{ROWS + i}, x{APART}"
    yield "b.ne 1b"


def _weights(kernel: Kernel, tap: int, half: int, rows: list[int], zero: int) -> Iterator[str]:
    """Of a column of taps, four a channel, into the first registers of `rows`."""
    for i, to in enumerate(rows):
        byte = (i * kernel.taps[1] + tap) * VECTOR_BYTES + HALF * half
        yield f"ldr d{to}, [x{WEIGHTS}, #{byte}]"
    yield f"movi v{zero}.2d, #0"
    yield from _sorted([*rows, zero][:MOST_DOWN])


def _sorted(rows: list[int]) -> list[str]:
    """Registers of four rows of eight bytes, three of them at least other ones: the first two then have four
    bytes of each channel.
    """
    first, second, third, fourth = rows
    return [
        f"zip1 v{first}.16b, v{first}.16b, v{second}.16b",
        f"zip1 v{third}.16b, v{third}.16b, v{fourth}.16b",
        f"zip2 v{second}.8h, v{first}.8h, v{third}.8h",
        f"zip1 v{first}.8h, v{first}.8h, v{third}.8h",
    ]


@dataclass
class _Row:
    """A row's instructions; those that are `free` longest are the next registers."""

    kernel: Kernel
    half: int
    bounds: Bounds | None
    weights: list[list[int]]
    kept: list[int]
    free: list[int]

    def __post_init__(self) -> None:
        self.numbers: dict[int, list[int]] = {}  # of a column, by what reads them
        self.sums: dict[int, list[int]] = {}

    def lines(self) -> Iterator[str]:
        """The next column is sorted, and the pixels before are stored, beside each column's products."""
        yield from self._column(0)
        for column in range(self.kernel.columns):
            before = self.kernel.done(column - 1)
            ahead = self._column(column + 1) if column + 1 < self.kernel.columns else []
            yield from _merged(ahead, self._products(column), self._stored(before))
            self.free += [*self.numbers.pop(column), *self._released(before)]
        last = self.kernel.done(self.kernel.columns - 1)
        yield from self._stored(last)
        self.free += self._released(last)

    def _take(self, count: int) -> list[int]:
        return [self.free.pop(0) for _ in range(count)]

    def _released(self, pixels: list[int]) -> list[int]:
        return [one for pixel in pixels for one in self.sums.pop(pixel)]

    def _column(self, column: int) -> list[str]:
        rows = self._take(self.kernel.taps[0])
        loads = [f"ldr d{to}, [x{ROWS + i}, #{column * VECTOR_BYTES}]" for i, to in enumerate(rows)]
        self.numbers[column] = rows
        return [*loads, *_sorted([*rows, rows[-1]][:MOST_DOWN])]

    def _products(self, column: int) -> list[str]:
        made = []
        for pixel, tap in self.kernel.reading(column):
            if pixel not in self.sums:
                self.sums[pixel] = self._take(VECTORS)
                made += self._begun(self.sums[pixel])
            for into, by, some in zip(
                self.sums[pixel], self.numbers[column], self.weights[tap], strict=False
            ):
                made.append(f"sdot v{into}.4s, v{by}.16b, v{some}.16b")
        return made

    def _begun(self, sums: list[int]) -> list[str]:
        if self.bounds is None:
            return [f"movi v{one}.2d, #0" for one in sums]
        first = (
            VECTORS * self.half
        )  # loaded anew, as no copy of a register is made beside a product
        return [
            f"ldr q{one}, [x{stored_sums.BIAS}, #{(first + i) * VECTOR_BYTES}]"
            for i, one in enumerate(sums)
        ]

    def _stored(self, pixels: list[int]) -> list[str]:
        vectors = [self.sums[pixel] for pixel in pixels]
        if self.bounds is None:
            return [
                f"str q{one}, [x{PLACE}, #{(pixel * LANES + i) * VECTOR_BYTES}]"
                for pixel, sums in zip(pixels, vectors, strict=True)
                for i, one in enumerate(sums)
            ]
        places = [pixel * VECTOR_BYTES for pixel in pixels]
        made = stored_sums.lines(vectors, self.kept, self.bounds, places, base=PLACE, begun=True)
        return list(made) if pixels else []


def _merged(*streams: list[str]) -> list[str]:
    """Each in its order, spread evenly."""
    places = [
        ((i + 0.5) / len(some), number, line)
        for number, some in enumerate(streams)
        for i, line in enumerate(some)
    ]
    return [line for _, _, line in sorted(places, key=lambda one: one[:2])]
