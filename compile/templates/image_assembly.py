# SPDX-License-Identifier: Apache-2.0
"""AArch64's first convolution of bytes without a dot product, some pixels of a row, in our own order.

Takes a `Kernel`; gives its assembly. A vector of products is of four output channels by a pair of
neighbouring bytes of the image, the same for all: two pairs in 16 bits (smull, smlal) are added to a vector
of sums (sadalp), which so have no parts to add in the end. A pair is copied to all of a vector as it is
loaded (ld1r), and multiplied by all output channels at hand.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mnc.compile.templates.assembly_function import REGISTERS, VECTOR_BYTES
from mnc.compile.templates.loads_beside import Step, with_loads
from mnc.compile.templates.packed_image import PAIR

LANES = 4  # sums in a vector
BLOCK = 16  # output channels
MOST_SUMS = 16  # vectors
# Integer registers: weights, bytes from a row of the image to the next less those of a row of pairs but the
# last, pixels.
WEIGHTS, APART, PIXELS = 7, 8, 9
Pair = tuple[int, int]  # row, place in it


@dataclass(frozen=True)
class Kernel:
    """`blocks` of output channels of `pixels` of a row, `step` pairs apart, each of `taps` (rows, pairs);
    weights are loaded by `load` bytes: 8 where those issue beside a multiplication, or 16.
    """

    blocks: int
    pixels: int
    taps: tuple[int, int]
    step: int
    load: int

    @property
    def sums(self) -> list[str]:
        """Vector registers of the sums, by block, pixel and four channels."""
        return [f"v{i}" for i in range(self.blocks * self.pixels * BLOCK // LANES)]

    def sum(self, block: int, pixel: int, vector: int) -> str:
        """Vector register of four channels' sums."""
        return self.sums[(block * self.pixels + pixel) * (BLOCK // LANES) + vector]

    def product(self, pixel: int, half: int) -> str:
        """Vector register of a product."""
        return f"v{len(self.sums) + 2 * pixel + half}"

    @property
    def free(self) -> range:
        """Vector registers for what is loaded."""
        return range(len(self.sums) + 2 * self.pixels, REGISTERS)

    @property
    def pairs(self) -> list[Pair]:
        """In the order of the image."""
        return list(itertools.product(range(self.taps[0]), range(self.taps[1])))


@dataclass(frozen=True)
class Number:
    """A pair of the image, for one pixel. Its pixel's pairs are loaded in order."""

    pixel: int
    pair: Pair
    ends_row: bool

    def line(self, register: int) -> str:
        """The instruction that loads it, and goes on to the pixel's next."""
        step = f"x{APART}" if self.ends_row else f"#{PAIR}"
        return f"ld1r {{v{register}.8h}}, [x{PIXELS + self.pixel}], {step}"


@dataclass(frozen=True)
class Weight:
    """Those of some output channels by a pair."""

    offset: int
    size: int

    def line(self, register: int) -> str:
        """The instruction that loads it."""
        letter = {8: "d", 16: "q"}[self.size]
        return f"ldr {letter}{register}, [x{WEIGHTS}, #{self.offset}]"


def most_pixels(blocks: int) -> int:
    """How many pixels' sums fit the registers."""
    return MOST_SUMS * LANES // BLOCK // blocks - (blocks == 1)


def assembly(kernel: Kernel) -> list[str]:
    """The pixels' addresses, then all pairs."""
    apart = PAIR * kernel.step
    pixels = [f"add x{PIXELS + i}, x{PIXELS + i - 1}, #{apart}" for i in range(1, kernel.pixels)]
    return [*pixels, *with_loads(list(_steps(kernel)), kernel.free)]


def _steps(kernel: Kernel) -> Iterator[Step]:
    """Two pairs at a time, of eight output channels; first one alone where their number is odd."""
    pairs = kernel.pairs
    first = len(pairs) % 2 or 2
    groups = [pairs[:first], *(pairs[i : i + 2] for i in range(first, len(pairs), 2))]
    for group in groups:
        for block, eight in itertools.product(range(kernel.blocks), range(2)):
            yield from _products(kernel, group, block, eight)
            for pixel, half in itertools.product(range(kernel.pixels), range(2)):
                name = "saddlp" if group is groups[0] else "sadalp"
                into = kernel.sum(block, pixel, 2 * eight + half)
                yield Step(f"{name} {into}.4s, {kernel.product(pixel, half)}.8h")


def _products(kernel: Kernel, group: list[Pair], block: int, eight: int) -> Iterator[Step]:
    for name, pair in zip(("smull", "smlal"), group, strict=False):
        for pixel, half in itertools.product(range(kernel.pixels), range(2)):
            upper = half == 1 and kernel.load == VECTOR_BYTES
            number = Number(pixel, pair, ends_row=pair[1] == kernel.taps[1] - 1)
            weight = _weight(kernel, pair, block, 2 * eight + half)
            text = f"{name}{'2' * upper} {kernel.product(pixel, half)}.8h"
            yield Step(text, (number, weight), "16b" if upper else "8b")


def _weight(kernel: Kernel, pair: Pair, block: int, vector: int) -> Weight:
    place = block * len(kernel.pairs) + pair[0] * kernel.taps[1] + pair[1]
    offset = place * BLOCK * PAIR + vector * LANES * PAIR
    return Weight(offset - offset % kernel.load, kernel.load)
