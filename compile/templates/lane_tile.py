# SPDX-License-Identifier: Apache-2.0
"""A tile of pixels and output channels of a pointwise convolution, as a TE tensor intrinsic.

On AArch64 it is calls of `lane_kernel`'s functions; elsewhere, where a schedule is only checked, plain loops.
"""

from dataclasses import dataclass
from typing import Any

from tvm import DataType, te, tir

from mnc.compile.templates import assembly_function, blocked, half_sums, lane_assembly, lane_kernel
from mnc.compile.templates.assembly_function import VECTOR_BYTES
from mnc.compile.templates.lane_assembly import Kernel
from mnc.compile.templates.lane_kernel import Part
from mnc.compile.templates.multiply_add import buffer

FIRST_BLOCKS = 2  # that no kernel prefetches for itself


def prefetches(apart: int, blocks: int) -> tuple[int, int]:
    """`ahead` and `apart` of a `Tile` that prefetches, over a map's `blocks`, so many bytes from each other;
    0 for what no instruction reaches.
    """
    ahead, most = FIRST_BLOCKS * apart, assembly_function.MOST_AHEAD
    if ahead > most:
        return 0, 0
    return ahead, apart if blocks * apart <= most else 0


@dataclass(frozen=True)
class Tile:
    """`channels` blocks of output channels and `rows` x `columns` pixels, which lie one after another, over
    `blocks` of input channels, `at_once` of them added up before they join the rest; `lanes` and `ahead` as
    `Kernel` has them. `apart`: bytes between blocks of the map, where what the next kernel reads first is
    prefetched too; 0: where it is not.
    """

    channels: int
    rows: int
    columns: int
    blocks: int
    at_once: int
    lanes: int
    ahead: int
    apart: int = 0

    @property
    def parts(self) -> list[tuple[int, Part]]:
        """(first block of input channels, part) of the sums."""
        starts = list(range(0, self.blocks, self.at_once))
        if len(starts) == 1:
            return [(0, Part.WHOLE)]
        between = [(start, Part.NEXT) for start in starts[1:-1]]
        return [(0, Part.FIRST), *between, (starts[-1], Part.LAST)]

    def calls(self, size: int) -> list[tuple[int, int, Kernel, Part]]:
        """(first pixel, first block of input channels, kernel, part): as few pixels at a time as hold all
        sums in registers, of about the same size.
        """
        most = lane_assembly.most_pixels(self.channels, lanes=self.lanes)
        pixels = self.rows * self.columns
        group = 1 if pixels <= most else lane_assembly.least_in_group(self.channels)
        return [
            (start, chunk, self._kernel(end - start, part, size), part)
            for start, end in assembly_function.even_parts(pixels, most, group=group)
            for chunk, part in self.parts
        ]

    def _kernel(self, pixels: int, part: Part, size: int) -> Kernel:
        after = self._after(pixels, part)
        return Kernel(self.channels, pixels, size, self.lanes, self.ahead, after)

    def _after(self, pixels: int, part: Part) -> tuple[int, ...]:
        """From a part's last block to what of the next part it prefetches; from the last of all to the first
        blocks of the next as many pixels.
        """
        if not self.apart:
            return ()
        if part in (Part.FIRST, Part.NEXT):
            return (self.ahead,)
        return tuple(
            pixels * VECTOR_BYTES - (self.blocks - 1 - block) * self.apart
            for block in range(min(FIRST_BLOCKS, self.blocks - 1))
        )


def possible(data: Any, kernel: Any) -> bool:
    """Whether the current target has the instructions, and blocks are of a vector."""
    bits = DataType(data.dtype).bits
    full = all(int(extent) * bits == 128 for extent in (data.shape[4], *kernel.shape[4:]))
    return blocked.on_aarch64() and full and data.dtype in blocked.FLOATS


def intrinsic(tile: Tile, dtype: str, *, scope: str) -> Any:
    """Of the sums (channels, rows, columns, v) over (blocks, channel)."""
    block = 8 * VECTOR_BYTES // DataType(dtype).bits
    data = te.placeholder((tile.blocks, tile.rows, tile.columns, block), dtype, name="data")
    weights = (tile.channels, tile.blocks, 1, 1, block, block)
    kernel = te.placeholder(weights, dtype, name="kernel")
    chunk = te.reduce_axis((0, tile.blocks), name="chunk")
    channel = te.reduce_axis((0, block), name="channel")
    sums = te.compute(
        (tile.channels, tile.rows, tile.columns, block),
        lambda o, y, x, v: te.sum(
            data[chunk, y, x, channel] * kernel[o, chunk, 0, 0, channel, v], axis=[chunk, channel]
        ),
    )
    binds = {
        data: buffer(data, _strides("data", tile, block)),
        kernel: buffer(kernel, [*(te.var(f"kernel{i}") for i in range(5)), 1]),
        sums: buffer(sums, _strides("sums", tile, block), scope=scope),
    }
    body = _calls if blocked.on_aarch64() else _loops
    return te.decl_tensor_intrin(sums.op, lambda ins, outs: body(tile, ins, outs[0]), binds=binds)


def _strides(name: str, tile: Tile, block: int) -> list[Any]:
    """Of a map: several rows follow one another, so that pixels are numbered through."""
    row = te.var(f"{name}_row") if tile.rows == 1 else tile.columns * block
    return [te.var(name), row, block, 1]


def _calls(tile: Tile, ins: Any, out: Any) -> Any:
    data, weights = ins
    size = DataType(data.dtype).bits // 8
    calls = tile.calls(size)
    builder = tir.ir_builder.create()
    functions = dict.fromkeys((kernel, part) for _, _, kernel, part in calls)
    # `bias_first` may have these take the place of the whole ones.
    functions |= dict.fromkeys(
        (kernel, Part.BIASED) for *_, kernel, part in calls if part is Part.WHOLE
    )
    text = "\n".join(lane_kernel.function(*each) for each in functions)
    builder.scope_attr(tir.const(0, "int32"), "pragma_import_llvm", tir.StringImm(text))
    apart = [one.strides[0] * size for one in (data, weights, out)]
    for first, chunk, kernel, part in calls:
        at = first * kernel.block
        numbers = data.access_ptr("r", offset=chunk * data.strides[0] + at)
        taken = weights.access_ptr("r", offset=chunk * weights.strides[1])
        sizes = [tir.Cast("int64", value) for value in (tile.at_once, *apart)]
        arguments = [out.access_ptr("w", offset=at), numbers, taken, *sizes]
        builder.emit(tir.call_extern("int32", lane_kernel.name(kernel, part), *arguments))
    return builder.get()


def _loops(tile: Tile, ins: Any, out: Any) -> Any:
    data, weights = ins
    block = int(out.shape[3])
    kind = f"{out.dtype}x{block}"
    builder = tir.ir_builder.create()
    part = builder.allocate(kind, 1, name="part", scope="local")
    with (
        builder.for_range(0, tile.channels, name="o") as o,
        builder.for_range(0, tile.rows, name="y") as y,
        builder.for_range(0, tile.columns, name="x") as x,
    ):
        for first in range(0, tile.blocks, tile.at_once):
            part[0] = tir.const(0, kind)
            with builder.for_range(0, tile.at_once * block, name="channel") as channel:
                chunk, lane = first + channel // block, channel % block
                number = tir.Broadcast(data.vload([chunk, y, x, lane]), block)
                part[0] += number * weights.vload([o, chunk, 0, 0, lane, 0], kind)
            before = out.vload([o, y, x, 0], kind) if first else tir.const(0, kind)
            within = half_sums.within_range(part[0]) if tile.at_once < tile.blocks else part[0]
            builder.emit(out.vstore([o, y, x, 0], before + within))
    return builder.get()
