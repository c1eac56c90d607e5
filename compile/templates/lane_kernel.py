# SPDX-License-Identifier: Apache-2.0
"""`lane_assembly`'s inner loop as a function in LLVM's IR, which TVM links to a kernel and LLVM inlines.

Takes a `Kernel`; gives text. LLVM finds the sums in registers for what it makes of the tile afterwards (bias,
activation).
"""

from collections.abc import Iterator
from enum import StrEnum

from mnc.compile.templates import assembly_function, lane_assembly
from mnc.compile.templates.assembly_function import VECTOR_BYTES, Assembly
from mnc.compile.templates.blocked import LARGEST_HALF
from mnc.compile.templates.lane_assembly import Kernel

PREFIX = "mnc_lanes_"  # of names
PARAMETERS = (
    "ptr %sums, ptr %data, ptr %weights, i64 %blocks, i64 %data_apart, i64 %weights_apart, "
    "i64 %sums_apart"
)


class Part(StrEnum):
    """Of the sums over all channels: all of them; the same, begun at the bias, or at what is there; those of
    the first block, a further one, the last one, added to what the blocks before have left.
    """

    WHOLE = ""
    BIASED = "_biased"
    BEGUN = "_begun"
    FIRST = "_first"
    NEXT = "_next"
    LAST = "_last"


def name(kernel: Kernel, part: Part = Part.WHOLE) -> str:
    """Of the function."""
    after = "".join(f"n{abs(ahead)}" for ahead in kernel.after)
    kind = f"{8 * kernel.size}x{kernel.lanes}{f'p{kernel.ahead}{after}' if kernel.ahead else ''}"
    return f"{PREFIX}{kind}_{kernel.channels}_{kernel.pixels}{part}"


def function(kernel: Kernel, part: Part = Part.WHOLE) -> str:
    """Adds up blocks of input channels from zero. Arguments: sums, data, weights, how many blocks, and bytes
    from one block to the next of data, of weights and of sums; of a biased one, also where the bias is, a
    vector for each of the sums' channels. Only sums of halves are in several parts.
    """
    channels = range(kernel.channels)
    kind = f"<{kernel.block} x {'float' if kernel.size == 4 else 'half'}>"
    biased = part is Part.BIASED
    begun = part is Part.BEGUN
    start = ("%start{}" if begun else "zeroinitializer").format
    changed = {} if biased else {one: (kind, start(i)) for i, one in enumerate(kernel.sums)}
    changed |= {
        f"x{lane_assembly.DATA}": ("ptr", "%data"),
        f"x{lane_assembly.COUNT}": ("i64", "%blocks"),
    }
    changed |= {f"x{lane_assembly.WEIGHTS + one}": ("ptr", f"%weights{one}") for one in channels}
    read = {f"x{lane_assembly.APART}": ("i64", "%data_apart")}
    asm = Assembly(
        lane_assembly.assembly(kernel, biased=biased),
        dict.fromkeys(kernel.sums, kind) if biased else {},
        changed,
        read | ({f"x{lane_assembly.BIAS}": ("ptr", "%bias")} if biased else {}),
        [*assembly_function.free(kernel.sums), f"x{lane_assembly.AHEAD}"],
    )
    pointers = [_pointer("weights", channel) for channel in channels]
    loads = _starts(kernel, kind) if begun else ()
    body = [*pointers, *_places(kernel), *loads, asm.call, *_stores(kernel, kind, asm.result, part)]
    parameters = f"{PARAMETERS}, ptr %bias" if biased else PARAMETERS
    return assembly_function.define(name(kernel, part), parameters, body)


def _pointer(of: str, channel: int) -> str:
    return (
        f"%{of}_from{channel} = mul i64 %{of}_apart, {channel}\n"
        f"%{of}{channel} = getelementptr i8, ptr %{of}, i64 %{of}_from{channel}"
    )


def _places(kernel: Kernel) -> Iterator[str]:
    """Where each sum is in memory, `%at0` and so on."""
    for channel in range(kernel.channels):
        yield _pointer("sums", channel)
        for pixel in range(kernel.pixels):
            i = channel * kernel.pixels + pixel
            yield f"%at{i} = getelementptr i8, ptr %sums{channel}, i64 {pixel * VECTOR_BYTES}"


def _starts(kernel: Kernel, kind: str) -> Iterator[str]:
    for i in range(len(kernel.sums)):
        yield f"%start{i} = load {kind}, ptr %at{i}, align {VECTOR_BYTES}"


def _stores(kernel: Kernel, kind: str, result: str, part: Part) -> Iterator[str]:
    for i in range(len(kernel.sums)):
        yield f"%sum{i} = extractvalue {result} %r, {i}"
        made = f"%sum{i}"
        if part in (Part.NEXT, Part.LAST):
            yield f"%before{i} = load {kind}, ptr %at{i}, align {VECTOR_BYTES}"
            yield f"%total{i} = fadd {kind} %before{i}, {made}"
            made = f"%total{i}"
        if part in (Part.FIRST, Part.NEXT):
            yield from _within_range(made, i)
            made = f"%within{i}"
        yield f"store {kind} {made}, ptr %at{i}, align {VECTOR_BYTES}"


def _within_range(made: str, i: int) -> Iterator[str]:
    """Of Inf and a block that is Inf with the other sign the sum would be NaN, where float32 has a number."""
    kind = "<8 x half>"
    bounds = [
        ("below", "minimum", made, LARGEST_HALF),
        ("within", "maximum", f"%below{i}", -LARGEST_HALF),
    ]
    for result, function, value, bound in bounds:
        operands = f"{kind} {value}, {kind} splat (half {bound})"
        yield f"%{result}{i} = call {kind} @llvm.{function}.v8f16({operands})"
