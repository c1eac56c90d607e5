# SPDX-License-Identifier: Apache-2.0
"""AArch64's inner loop of a product of matrices of bytes without a dot product, in our own order.

Takes a `Kernel`; gives its assembly. Two products in 16 bits (smull, smlal) are added in pairs to a sum's
four parts (sadalp). LLVM, given the same in vectors, lets each wait for the one before; here as many products
as hide their latency are under way, and each register is loaded anew behind its last use.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mnc.compile.templates import assembly_function
from mnc.compile.templates.assembly_function import REGISTERS, VECTOR_BYTES

BLOCK = 16  # input channels, of a number each in a vector of bytes
PARTS = 4  # of a sum
UNDER_WAY = 4  # products: about the latency of a multiplication
# Integer registers: pixels and weights, from block to block of each, that of the next block (none after the
# last), blocks left.
DATA, WEIGHTS, DATA_APART, WEIGHTS_APART, DATA_STEP, WEIGHTS_STEP, COUNT = range(9, 16)
AHEAD = DATA_STEP  # what of the pixels is prefetched: before that is needed


@dataclass(frozen=True)
class Kernel:
    """`channels` output channels times `pixels`, loaded by `load` bytes: 8 where those issue beside a
    multiplication, or 16. `ahead`: bytes from a pixel to what is prefetched meanwhile; 0: nothing is.
    """

    channels: int
    pixels: int
    load: int
    ahead: int = 0

    @property
    def at_once(self) -> int:
        """Output channels whose products are under way together."""
        return -(-UNDER_WAY // self.pixels)

    @property
    def sums(self) -> list[str]:
        """Vector registers of the sums' parts, by pixel and channel."""
        first = self._first_product + self.at_once * self.pixels
        return [f"v{first + i}" for i in range(self.pixels * self.channels)]

    @property
    def results(self) -> dict[tuple[int, int], str]:
        """Vector registers of four channels' sums in the end, by pixel and first channel."""
        return {
            (pixel, channel): self.sums[pixel * self.channels + channel]
            for pixel in range(self.pixels)
            for channel in range(0, self.channels, PARTS)
        }

    @property
    def parts(self) -> int:
        """Loads of a block of a pixel's, or of a channel's weights."""
        return VECTOR_BYTES // self.load

    @property
    def _first_weight(self) -> int:
        return self.pixels * self.parts

    @property
    def _first_product(self) -> int:
        return self._first_weight + self.at_once * self.parts

    def number(self, half: int, pixel: int) -> int:
        """Vector register of a half of a pixel's numbers."""
        return pixel * self.parts + half % self.parts

    def weight(self, half: int, channel: int) -> int:
        """Vector register of a half of a channel's weights."""
        return self._first_weight + channel % self.at_once * self.parts + half % self.parts

    def product(self, pixel: int, channel: int) -> int:
        """Vector register of two products."""
        return self._first_product + channel % self.at_once * self.pixels + pixel


def most_pixels(channels: int, *, load: int) -> int:
    """How many pixels' sums fit the registers."""
    return max(p for p in range(1, 8) if _registers(Kernel(channels, p, load)) <= REGISTERS)


def _registers(kernel: Kernel) -> int:
    return (
        kernel.number(0, kernel.pixels)
        + len(kernel.sums)
        + kernel.at_once * (kernel.parts + kernel.pixels)
    )


def assembly(kernel: Kernel) -> list[str]:
    """All blocks; each loads the first of the next, which after the last is the last again."""
    loads = [
        _load("number", kernel, part, pixel)
        for pixel in range(kernel.pixels)
        for part in range(kernel.parts)
    ]
    loads += [
        _load("weight", kernel, part, channel)
        for channel in range(kernel.at_once)
        for part in range(kernel.parts)
    ]
    zeros = [(f"movi {sum_}.2d, #0", loads[i : i + 1]) for i, sum_ in enumerate(kernel.sums)]
    start = [*_beside(zeros), *loads[len(zeros) :]]
    return [*start, "1:", *_beside(_block(kernel)), "b.ne 1b", *_finish(kernel.sums)]


def _finish(sums: list[str]) -> Iterator[str]:
    """The parts of each sum are added: of two by two, then of four by four."""
    for apart in (1, 2):
        for one, other in zip(sums[:: 2 * apart], sums[apart :: 2 * apart], strict=True):
            yield f"addp {one}.4s, {one}.4s, {other}.4s"


# An instruction, and those that can follow from there on.
Step = tuple[str, list[str]]


def _beside(steps: Iterable[Step]) -> Iterator[str]:
    """At most one other instruction behind each step, which a core of two issues with it."""
    waiting: deque[str] = deque()
    for instruction, more in steps:
        yield instruction
        waiting.extend(more)
        if waiting:
            yield waiting.popleft()
    yield from waiting


def _block(kernel: Kernel) -> Iterator[Step]:
    size = kernel.pixels * VECTOR_BYTES
    before = assembly_function.prefetches(size, kernel.ahead, base=DATA, at=AHEAD)
    before += [
        f"subs x{COUNT}, x{COUNT}, #1",
        f"csel x{WEIGHTS_STEP}, x{WEIGHTS_APART}, xzr, ne",
        f"csel x{DATA_STEP}, x{DATA_APART}, xzr, ne",
        f"add x{DATA}, x{DATA}, x{DATA_STEP}",  # the rest of this block is loaded
    ]
    for first in range(0, kernel.channels, kernel.at_once):
        last = first + kernel.at_once == kernel.channels
        before += [f"add x{WEIGHTS}, x{WEIGHTS}, x{WEIGHTS_STEP}"] if last else []
        for half in range(2):
            for channel in range(first, first + kernel.at_once):
                for pixel in range(kernel.pixels):
                    loads = _loads(kernel, half, channel, pixel, last=last)
                    yield _multiply(kernel, half, channel, pixel), [*before, *loads]
                    before = []
        for channel in range(first, first + kernel.at_once):
            for pixel in range(kernel.pixels):
                into = kernel.sums[pixel * kernel.channels + channel]
                yield f"sadalp {into}.4s, v{kernel.product(pixel, channel)}.8h", []


def _loads(kernel: Kernel, half: int, channel: int, pixel: int, *, last: bool) -> list[str]:
    """Into the registers that the multiplication has read for the last time."""
    part, made = half % kernel.parts, []
    if kernel.parts == 1 and half == 0:
        return []
    if pixel == kernel.pixels - 1:
        following = channel + kernel.at_once
        made.append(_load("weight", kernel, part, following % kernel.channels))
    if last and channel == kernel.channels - 1:
        made.append(_load("number", kernel, part, pixel))
    return made


def _multiply(kernel: Kernel, half: int, channel: int, pixel: int) -> str:
    name = ("smull", "smlal")[half] + ("2" if half and kernel.parts == 1 else "")
    lanes = "16b" if name.endswith("2") else "8b"
    number, weight = kernel.number(half, pixel), kernel.weight(half, channel)
    return f"{name} v{kernel.product(pixel, channel)}.8h, v{number}.{lanes}, v{weight}.{lanes}"


def _load(what: str, kernel: Kernel, part: int, index: int) -> str:
    register, base = (
        (kernel.number(part, index), DATA)
        if what == "number"
        else (kernel.weight(part, index), WEIGHTS)
    )
    letter = {8: "d", 16: "q"}[kernel.load]
    return f"ldr {letter}{register}, [x{base}, #{index * VECTOR_BYTES + part * kernel.load}]"
