# SPDX-License-Identifier: Apache-2.0
"""AArch64's inner loop of a product of matrices, instruction by instruction: multiply-adds by element.

Takes a `Kernel`; gives its assembly. LLVM, given the same in vectors, takes them apart into a scalar load for
each number, and orders loads as no core in order wants them (docs/performance.md). Here a pixel's numbers are
loaded several at once, where their register is free, a group of pixels before their use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mnc.compile.templates import assembly_function
from mnc.compile.templates.assembly_function import LINE, REGISTERS, VECTOR_BYTES

CHAIN = 4  # multiply-adds between two into the same sum: about their latency
WEIGHTS_AHEAD = 512  # bytes, that prefetches of weights are ahead
# Integer registers: pixels, what of them is prefetched, from block to block, blocks left, weights (one for
# each vector of output channels), what the sums start from.
DATA, AHEAD, APART, COUNT, WEIGHTS, BIAS = 9, 10, 11, 12, 13, 17


@dataclass(frozen=True)
class Kernel:
    """`channels` vectors of output channels times `pixels`, of numbers of `size` bytes, `lanes` input
    channels of a pixel loaded at once. `ahead`: bytes from a pixel to what is prefetched meanwhile; 0:
    nothing is. `after`: the same of the last block, for what is read next.
    """

    channels: int
    pixels: int
    size: int
    lanes: int
    ahead: int
    after: tuple[int, ...] = ()

    @property
    def block(self) -> int:
        """Input channels in a block: numbers in a vector."""
        return VECTOR_BYTES // self.size

    @property
    def steps(self) -> int:
        """Loads of a pixel in a block."""
        return self.block // self.lanes

    @property
    def groups(self) -> list[range]:
        """Pixels that are in registers together, enough of them where there are as many; none larger than the
        one before.
        """
        count = max(1, self.pixels // least_in_group(self.channels))
        sizes = sorted((self.pixels + i) // count for i in range(count))[::-1]
        return [range(sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(count)]

    @property
    def sums(self) -> list[str]:
        """Vector registers of the sums, by channel and pixel."""
        first = self._first_weight + self.channels * self.lanes
        return [f"v{first + i}" for i in range(self.channels * self.pixels)]

    @property
    def _first_weight(self) -> int:
        return len(self.groups[0])

    def number(self, pixel: int) -> int:
        """Vector register of a pixel's numbers. The first ones: halves are taken by element from 0 to 15."""
        return next(pixel - group.start for group in self.groups if pixel in group)

    def weight(self, lane: int, channel: int) -> int:
        """Vector register of weights."""
        return self._first_weight + lane * self.channels + channel


def least_in_group(channels: int) -> int:
    """Pixels whose multiply-adds fill the time between two into the same sum."""
    return -(-CHAIN // channels)


def most_pixels(channels: int, *, lanes: int) -> int:
    """How many pixels' sums fit the registers; a multiple of a group's."""
    group = least_in_group(channels)
    left = REGISTERS - channels * lanes - group
    return left // channels // group * group


def assembly(kernel: Kernel, *, biased: bool = False) -> list[str]:
    """All blocks but the last, each of which loads the first of what comes next; then the last. `biased`:
    the sums are loaded first.
    """
    start = [_load_number(kernel, 0, pixel) for pixel in kernel.groups[0]]
    start += [
        _load_weight(kernel, 0, lane, channel)
        for lane in range(kernel.lanes)
        for channel in range(kernel.channels)
    ]
    if biased:
        start += [_load_bias(kernel, i) for i in range(len(kernel.sums))]
    count = f"subs x{COUNT}, x{COUNT}, #1"
    loop = [*_block(kernel, last=False), "b.ne 1b"]
    return [*start, count, "b.eq 2f", "1:", *loop, "2:", *_block(kernel, last=True)]


def _block(kernel: Kernel, *, last: bool) -> Iterator[str]:
    aheads = kernel.after if last else (kernel.ahead,)
    waiting = [line for ahead in aheads for line in _of_pixels(kernel, ahead)]
    if not last:
        waiting += [*_of_weights(kernel), f"subs x{COUNT}, x{COUNT}, #1"]
    for step in range(kernel.steps):
        more = step < kernel.steps - 1 or not last
        for index in range(len(kernel.groups)):
            # Prefetches stand behind the first loads and before the last: where a trace cuts a block, at a
            # page's end, each half has one that tells where they go.
            first = step == index == 0 and len(kernel.groups) > 1
            waits = [] if first else waiting
            yield from _group(kernel, step, index, waits, last=last, more=more)
    yield from waiting
    if not last:
        for channel in range(kernel.channels):
            yield f"add x{WEIGHTS + channel}, x{WEIGHTS + channel}, #{kernel.block * VECTOR_BYTES}"


def _group(
    kernel: Kernel, step: int, index: int, waiting: list[str], *, last: bool, more: bool
) -> Iterator[str]:
    """Behind each multiply-add at most one other instruction, which a core of two issues with it: a load into
    a register that is not needed any more, else one of those that wait for a place.
    """
    group, final = kernel.groups[index], index == len(kernel.groups) - 1
    loads = _next_numbers(kernel, step, index, last=last)
    if final and step == kernel.steps - 1 and not last:
        yield f"add x{DATA}, x{DATA}, x{APART}"  # the rest of this block is on its way
    yield from loads[len(group) :]
    for lane in range(kernel.lanes):
        for place, pixel in enumerate(group):
            for channel in range(kernel.channels):
                yield _multiply_add(kernel, lane, pixel, channel)
                now: list[str] = []
                if lane == kernel.lanes - 1 and channel == kernel.channels - 1:
                    now += loads[place : place + 1]
                if final and more and pixel == group[-1]:
                    now.append(_load_weight(kernel, step + 1, lane, channel))
                yield from now or waiting[:1]
                if not now:
                    del waiting[:1]


def _next_numbers(kernel: Kernel, step: int, index: int, *, last: bool) -> list[str]:
    """Loads of the pixels of the group that comes next."""
    groups = kernel.groups
    if index < len(groups) - 1:
        return [_load_number(kernel, step, pixel) for pixel in groups[index + 1]]
    if step < kernel.steps - 1:
        return [_load_number(kernel, step + 1, pixel) for pixel in groups[0]]
    return [] if last else [_load_number(kernel, 0, pixel) for pixel in groups[0]]


def _load_number(kernel: Kernel, step: int, pixel: int) -> str:
    letter = {2: "h", 4: "s", 8: "d", 16: "q"}[kernel.lanes * kernel.size]
    at = pixel * VECTOR_BYTES + step * kernel.lanes * kernel.size
    return f"ldr {letter}{kernel.number(pixel)}, [x{DATA}, #{at}]"


def _load_weight(kernel: Kernel, step: int, lane: int, channel: int) -> str:
    at = (step * kernel.lanes + lane) * VECTOR_BYTES
    return f"ldr q{kernel.weight(lane, channel)}, [x{WEIGHTS + channel}, #{at}]"


def _load_bias(kernel: Kernel, i: int) -> str:
    return f"ldr q{kernel.sums[i][1:]}, [x{BIAS}, #{i // kernel.pixels * VECTOR_BYTES}]"


def _multiply_add(kernel: Kernel, lane: int, pixel: int, channel: int) -> str:
    letter, kind = ("s", "4s") if kernel.size == 4 else ("h", "8h")
    sums = kernel.sums[channel * kernel.pixels + pixel]
    by = f"v{kernel.number(pixel)}.{letter}[{lane}]"
    return f"fmla {sums}.{kind}, v{kernel.weight(lane, channel)}.{kind}, {by}"


def _of_pixels(kernel: Kernel, ahead: int) -> list[str]:
    """Prefetches."""
    size = kernel.pixels * VECTOR_BYTES
    return assembly_function.prefetches(size, ahead, base=DATA, at=AHEAD)


def _of_weights(kernel: Kernel) -> list[str]:
    """Prefetches, where pixels have some."""
    places = range(WEIGHTS_AHEAD, WEIGHTS_AHEAD + kernel.block * VECTOR_BYTES, LINE)
    return [
        f"prfm pldl1keep, [x{WEIGHTS + channel}, #{at}]"
        for channel in range(kernel.channels if kernel.ahead else 0)
        for at in places
    ]
