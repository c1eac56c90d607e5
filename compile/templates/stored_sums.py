# SPDX-License-Identifier: Apache-2.0
"""What follows a tile's integer sums, in AArch64 assembly: bias, multiplication, rounding, bounds, 8 bits.

Takes registers of sums; gives lines that store bytes (docs/int8.md, "What an operator computes"). So sums
are never in memory, and each instruction is made for all of a tile's pixels before the next, as one waits
for what it reads.
"""

import itertools
from collections.abc import Iterator, Sequence
from enum import StrEnum

# Integer registers: where the biases, the multipliers and the bytes are, then numbers.
BIAS, FACTORS, OUT, WHOLE, ROUNDER, LOW, HIGH = range(7)
PARAMETERS = "ptr %bias, ptr %factors, i64 %whole, i64 %rounder, i64 %low, i64 %high"
LANES = 4
SPARE = 2 * LANES + 4  # vector registers, for a pixel of 16 channels


class Bounds(StrEnum):
    """Where values are kept within bounds: by narrowing alone, which saturates; as bytes after that; or as
    floats before rounding, whose bytes then are the last of 32 bits.
    """

    SATURATED = "_stored"
    BYTES = "_stored_bytes"
    FLOATS = "_stored_floats"


def inputs() -> dict[str, tuple[str, str]]:
    """What the integer registers hold, of a function with these parameters and `%sums`, where bytes go."""
    numbers = (WHOLE, "whole"), (ROUNDER, "rounder"), (LOW, "low"), (HIGH, "high")
    places = (BIAS, "bias"), (FACTORS, "factors"), (OUT, "sums")
    return {f"x{at}": ("ptr", f"%{name}") for at, name in places} | {
        f"x{at}": ("i64", f"%{name}") for at, name in numbers
    }


def constants(
    spare: Sequence[int], bounds: Bounds, *, vectors: int, first: int = 0, begun: bool = False
) -> list[str]:
    """Fill spare registers for `lines`, with the biases and factors of `vectors` of sums from channel `first`
    on. `begun`: as for `lines`, without the biases.
    """
    bases = [FACTORS] if begun else [BIAS, FACTORS]
    pairs = [(base, i) for base in bases for i in range(vectors)]
    loads = [
        f"ldr q{spare[at]}, [x{base}, #{4 * (first + LANES * i)}]"
        for at, (base, i) in enumerate(pairs)
    ]
    lanes = "16b" if bounds is Bounds.BYTES else "4s"
    copies = [(WHOLE, "4s"), (ROUNDER, "4s")]
    copies += [] if bounds is Bounds.SATURATED else [(LOW, lanes), (HIGH, lanes)]
    numbers = spare[len(pairs) :]
    return [
        *loads,
        *(f"dup v{to}.{kind}, w{at}" for to, (at, kind) in zip(numbers, copies, strict=False)),
    ]


def lines(
    pixels: Sequence[Sequence[int]],
    spare: Sequence[int],
    bounds: Bounds,
    places: Sequence[int],
    *,
    base: int = OUT,
    begun: bool = False,
) -> Iterator[str]:
    """Of each pixel's registers of sums, two or four, which change; bytes go to its place from integer
    register `base`. `begun`: the sums have their biases.
    """
    vectors = len(pixels[0])
    bias, kept = ([], spare) if begun else (spare[:vectors], spare[vectors:])
    factors = kept[:vectors]
    whole, rounder, low, high = kept[vectors : vectors + 4]
    sums = list(itertools.chain.from_iterable(pixels))
    steps: list[tuple[str, Sequence[int]]] = [
        *([] if begun else [("add", bias)]),
        ("fsub", [whole]),
        ("fmul", factors),
        *([("fminnm", [high]), ("fmaxnm", [low])] if bounds is Bounds.FLOATS else []),
        ("fadd", [rounder]),
    ]
    for name, by in steps:
        for one, other in zip(sums, itertools.cycle(by), strict=False):
            yield f"{name} v{one}.4s, v{one}.4s, v{other}.4s"
    for i, pixel in itertools.product(range(0, vectors, 2), pixels):
        yield f"uzp1 v{pixel[i]}.8h, v{pixel[i]}.8h, v{pixel[i + 1]}.8h"
    yield from _bytes(pixels, bounds, [low, high])
    for pixel, place in zip(pixels, places, strict=True):
        yield f"str {'q' if vectors == LANES else 'd'}{pixel[0]}, [x{base}, #{place}]"


def _bytes(pixels: Sequence[Sequence[int]], bounds: Bounds, ends: list[int]) -> Iterator[str]:
    """Of numbers of 16 bits, eight in a pixel's first register and perhaps eight in its third."""
    for first, *others in pixels:
        if bounds is Bounds.FLOATS:
            yield f"uzp1 v{first}.16b, v{first}.16b, v{(others[1:2] or [first])[0]}.16b"
        else:
            yield f"sqxtn v{first}.8b, v{first}.8h"
    if bounds is Bounds.FLOATS:
        return
    for first, *others in pixels:
        if len(others) > 1:
            yield f"sqxtn2 v{first}.16b, v{others[1]}.8h"
    if bounds is Bounds.BYTES:
        for name, end in zip(("smax", "smin"), ends, strict=True):
            for first, *_ in pixels:
                yield f"{name} v{first}.16b, v{first}.16b, v{end}.16b"
