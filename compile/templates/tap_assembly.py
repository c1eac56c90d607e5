# SPDX-License-Identifier: Apache-2.0
"""AArch64's depthwise convolution of bytes without a dot product, some pixels of a row, in our own order.

Takes a `Kernel`; gives its assembly. Products of two taps in 16 bits (smull, smlal) are added to four sums of
four channels each (saddw) while the next are made. LLVM keeps more of them at once than there are registers,
or has one wait for another; here a number is loaded some instructions before its use.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mnc.compile.templates import stored_sums
from mnc.compile.templates.assembly_function import REGISTERS, VECTOR_BYTES
from mnc.compile.templates.loads_beside import Step, with_loads
from mnc.compile.templates.stored_sums import LANES, Bounds

MOST_PIXELS = 3
MOST_ROWS = 7
# Integer registers: weights, bytes from a row of taps to the next, rows.
WEIGHTS, APART, ROWS = 7, 8, 9
Tap = tuple[int, int]
Chain = tuple[int, int]  # pixel, half of its channels


@dataclass(frozen=True)
class Loaded:
    """What a tap reads, `size` bytes at an integer register and an offset. The next tap loads it anew, as
    what several read would fill the registers.
    """

    tap: Tap
    base: int
    offset: int
    size: int

    def line(self, register: int) -> str:
        """The instruction that loads it."""
        letter = {8: "d", 16: "q"}[self.size]
        return f"ldr {letter}{register}, [x{self.base}, #{self.offset}]"


@dataclass(frozen=True)
class Kernel:
    """`pixels` of a row, `step` columns apart, each of `taps` (down, across) that lie `apart` columns, loaded
    by `load` bytes: 8 where those issue beside a multiplication, or 16.
    """

    pixels: int
    taps: tuple[int, int]
    step: int
    apart: int
    load: int

    @property
    def chains(self) -> list[Chain]:
        """Products that are under way together."""
        return list(itertools.product(range(self.pixels), range(2)))

    @property
    def sums(self) -> list[str]:
        """Vector registers of the sums, by pixel and four channels."""
        return [f"v{i}" for i in range(4 * self.pixels)]

    def sum(self, chain: Chain, half: int) -> str:
        """Vector register of the sums of a half of a chain's channels."""
        return self.sums[4 * chain[0] + 2 * chain[1] + half]

    def product(self, chain: Chain, turn: int) -> str:
        """Vector register of a product; they take turns."""
        pixel, half = chain
        return f"v{4 * self.pixels + 2 * (turn % 2 * self.pixels + pixel) + half}"

    @property
    def free(self) -> list[int]:
        """Vector registers for what is loaded."""
        return list(range(8 * self.pixels, REGISTERS))

    def loaded(self, chain: Chain, tap: Tap) -> tuple[Loaded, Loaded]:
        """A pixel's numbers and the weights under a tap."""
        pixel, half = chain
        part = half * self.load % VECTOR_BYTES
        column = pixel * self.step + tap[1] * self.apart
        weight = tap[0] * self.taps[1] + tap[1]
        return (
            Loaded(tap, ROWS + tap[0], column * VECTOR_BYTES + part, self.load),
            Loaded(tap, WEIGHTS, weight * VECTOR_BYTES + part, self.load),
        )


def assembly(kernel: Kernel, bounds: Bounds | None = None) -> list[str]:
    """The rows' addresses, then all taps; then what stores them, where there are `bounds`."""
    rows = [f"add x{ROWS + i}, x{ROWS + i - 1}, x{APART}" for i in range(1, kernel.taps[0])]
    lines = [*rows, *with_loads(list(_steps(kernel)), kernel.free)]
    return lines if bounds is None else [*_stored(kernel, lines, bounds)]


def _stored(kernel: Kernel, lines: list[str], bounds: Bounds) -> Iterator[str]:
    """Nothing is loaded beside the last additions: constants are."""
    last = 2 * len(kernel.chains)
    spare = _spare(kernel)
    loads = stored_sums.constants(spare, bounds, vectors=LANES)
    yield from lines[:-last]
    for both in itertools.zip_longest(lines[-last:], loads):
        yield from (line for line in both if line)
    pixels = [range(LANES * i, LANES * (i + 1)) for i in range(kernel.pixels)]
    places = range(0, kernel.pixels * VECTOR_BYTES, VECTOR_BYTES)
    yield from stored_sums.lines(pixels, spare, bounds, places)


def _spare(kernel: Kernel) -> list[int]:
    """Vector registers that the last additions leave alone."""
    turns = -(-(kernel.taps[0] * kernel.taps[1]) // 2) - 1
    other = turns % 2  # of the products before the last
    before = [int(kernel.product((pixel, half), other)[1:]) for pixel, half in kernel.chains]
    return [*kernel.free, *before]


def _steps(kernel: Kernel) -> Iterator[Step]:
    """Products, beside additions of those before. The first wait where the second half of their sums will be,
    to be added to the second.
    """
    taps = list(itertools.product(range(kernel.taps[0]), range(kernel.taps[1])))
    first = len(taps) % 2 or 2
    yield from _products(kernel, taps[:first], {one: kernel.sum(one, 1) for one in kernel.chains})
    additions: list[Step] = []
    for turn, at in enumerate(range(first, len(taps), 2)):
        places = {chain: kernel.product(chain, turn) for chain in kernel.chains}
        products = list(_products(kernel, taps[at : at + 2], places))
        both = itertools.zip_longest(products, additions)
        yield from (step for steps in both for step in steps if step)
        additions = list(_additions(kernel, places, begin=turn == 0))
    yield from additions or _widened(kernel)


def _products(kernel: Kernel, taps: list[Tap], places: dict[Chain, str]) -> Iterator[Step]:
    for name, tap in zip(("smull", "smlal"), taps, strict=False):
        for chain in kernel.chains:
            upper = chain[1] == 1 and kernel.load == VECTOR_BYTES
            text = f"{name}{'2' * upper} {places[chain]}.8h"
            yield Step(text, kernel.loaded(chain, tap), "16b" if upper else "8b")


def _additions(kernel: Kernel, places: dict[Chain, str], *, begin: bool) -> Iterator[Step]:
    for chain, half in itertools.product(kernel.chains, range(2)):
        into, lanes = kernel.sum(chain, half), ("4h", "8h")[half]
        before = f"{kernel.sum(chain, 1)}.{lanes}" if begin else f"{into}.4s"
        name = f"{'saddl' if begin else 'saddw'}{'2' * half}"
        yield Step(f"{name} {into}.4s, {before}, {places[chain]}.{lanes}")


def _widened(kernel: Kernel) -> Iterator[Step]:
    for chain, half in itertools.product(kernel.chains, range(2)):
        product = f"{kernel.sum(chain, 1)}.{('4h', '8h')[half]}"
        yield Step(f"sshll{'2' * half} {kernel.sum(chain, half)}.4s, {product}, #0")
