# SPDX-License-Identifier: Apache-2.0
"""Template of the depthwise convolution in 8-bit integers: neighbouring columns are products of one sum.

Takes data (N, C, H, W, b) and kernel (C, 1, KH, KW, 1, b, 1); gives int32 sums (N, C, OH, OW, b). As many
columns as the CPU's `MultiplyAdd` has products for a sum are loaded at once and sorted by channels; zeros
before and behind a row of taps move it to the output pixels that read the same columns. No load is tested:
one that would begin outside of the map begins at its edge instead, and finds its weights moved as far.
"""

from typing import Any

from tvm import autotvm, te, tir, topi
from tvm.topi.nn.utils import get_pad_tuple

from mnc.compile.templates import blocked, depthwise, instructions, multiply_add
from mnc.compile.templates.columns import Axis, Columns, whole

NAME = "depthwise_columns_int8_NCHWc.mnc"
TAG = "mnc_depthwise_columns_int8"
MADE_ONCE = ("unmoved", "words", "row_sums", "border")


def fits(width: int, dilation: Any) -> bool:
    """Whether the template is for maps of this width, on the current target."""
    found = instructions.available()
    if blocked.on_arm():
        return False
    return found is not None and width >= found.group and blocked.pair(dilation)[1] == 1


@autotvm.register_topi_compute(NAME)  # type: ignore[untyped-decorator]
def compute(
    cfg: Any,
    data: Any,
    kernel: Any,
    strides: Any,
    padding: Any,
    dilation: Any,
    pad_value: int,
    out_dtype: str,
) -> Any:
    """The sums over the taps."""
    rows, across = axes(data, kernel, strides, padding, dilation)
    columns = Columns(across, instructions.group())
    _define_space(cfg, int(kernel.shape[0]), rows, columns)
    return product(data, kernel, rows, columns, pad_value, out_dtype, tag=TAG)


def product(
    data: Any, kernel: Any, rows: Axis, columns: Columns, pad_value: int, sums: str, *, tag: str
) -> Any:
    """The sums over the taps, of type `sums`, without a schedule; those without the border have the `tag`."""
    across = columns.axis
    summed = _product(data, _words(kernel, columns), rows, columns, sums, tag=tag)
    if not pad_value or rows.cases == across.cases == 1:
        return summed
    border = _border(kernel, rows, across, pad_value, sums)

    def with_border(n: Any, c: Any, y: Any, x: Any, v: Any) -> Any:
        row = whole(rows.case(y), rows.cases, y, x)
        column = whole(across.case(x), across.cases, y, x)
        return summed[n, c, y, x, v] + border[c, row, column, v]

    return te.compute(summed.shape, with_border, name="bordered", tag="injective")


def axes(data: Any, kernel: Any, strides: Any, padding: Any, dilation: Any) -> tuple[Axis, Axis]:
    """Down and across."""
    sizes = topi.utils.get_const_tuple(data.shape)[2:4]
    taps = topi.utils.get_const_tuple(kernel.shape)[2:4]
    apart = blocked.pair(dilation)
    spread = [(count - 1) * one + 1 for count, one in zip(taps, apart, strict=True)]
    top, left, bottom, right = (int(pad) for pad in get_pad_tuple(padding, spread))
    steps = blocked.pair(strides)
    vertical, horizontal = (
        Axis(
            sizes[i],
            taps[i],
            steps[i],
            apart[i],
            before,
            blocked.output_size(sizes[i], spread[i], steps[i], before, after),
        )
        for i, before, after in ((0, top, bottom), (1, left, right))
    )
    return vertical, horizontal


def _words(kernel: Any, columns: Columns) -> Any:
    """The weights of a load in one word a channel, (C, row of taps, output of a step and load, moved, v);
    before the first row of taps is one of zeros.
    """
    chunks, _, height, _, _, block, _ = topi.utils.get_const_tuple(kernel.shape)
    kind = f"uint{8 * columns.width}"

    def unmoved(c: Any, row: Any, kept: Any, v: Any) -> Any:
        made: Any = tir.const(0, kind)
        for byte in range(columns.width):
            weight: Any = tir.const(0, "int8")
            for number, (output, load) in enumerate(columns.pairs):
                # Chosen here: of a tap's number with TE's variables, TVM 0.19 proves l * 4 - o * 2 >= 0.
                if (tap := columns.tap(output, load, byte)) is not None:
                    here = tir.all(row > 0, kept == number)
                    weight = tir.if_then_else(here, kernel[c, 0, row - 1, tap, 0, v, 0], weight)
            made = made | (weight.astype("uint8").astype(kind) << tir.const(8 * byte, kind))
        return made

    def moved(c: Any, row: Any, kept: Any, by: Any, v: Any) -> Any:
        last = columns.width - 1
        down, up = (te.max(one, 0) for one in (by - columns.back, columns.back - by))
        bits = [(8 * te.min(one, last)).astype(kind) for one in (down, up)]
        word = (unmoved_words[c, row, kept, v] >> bits[0]) << bits[1]
        return tir.if_then_else(tir.all(down <= last, up <= last), word, tir.const(0, kind))

    shape = (chunks, height + 1, len(columns.pairs))
    unmoved_words = te.compute((*shape, block), unmoved, name="unmoved")
    return te.compute((*shape, columns.moves + 1, block), moved, name="words")


def _product(data: Any, words: Any, rows: Axis, columns: Columns, sums: str, *, tag: str) -> Any:
    batch, chunks, _, _, block = topi.utils.get_const_tuple(data.shape)
    row = te.reduce_axis((0, rows.taps), name="row")
    load = te.reduce_axis((0, columns.loads), name="load")
    byte = te.reduce_axis((0, columns.width), name="byte")

    def tap(n: Any, c: Any, y: Any, x: Any, v: Any) -> Any:
        step, output = x // columns.outputs, x % columns.outputs
        wanted = rows.pixel(y, row)
        at = te.max(te.min(wanted, rows.size - 1), 0)
        inside = 1 - te.min(te.max(wanted - at, at - wanted), 1)
        kept = whole((row + 1) * inside, rows.taps + 1, y, x)
        moved = whole(columns.moved(step, load), columns.moves + 1, y, x)
        number = data[n, c, at, columns.start(step, load) + byte, v]
        word = words[c, kept, output * columns.loads + load, moved, v]
        weight = multiply_add.byte_of(word, byte)
        return te.sum(number.astype(sums) * weight.astype(sums), axis=[row, load, byte])

    shape = (batch, chunks, rows.out, columns.axis.out, block)
    return te.compute(shape, tap, name="depthwise", tag=tag)


def _border(kernel: Any, rows: Axis, across: Axis, pad_value: int, sums: str) -> Any:
    """What the taps beyond the edges add, (C, case of rows, case of columns, v)."""
    chunks, _, height, width, _, block, _ = topi.utils.get_const_tuple(kernel.shape)
    zero = tir.const(0, sums)

    def within(c: Any, i: Any, x: Any, v: Any) -> Any:
        total: Any = zero
        for j in range(width):
            weight = kernel[c, 0, i, j, 0, v, 0].astype(sums)
            seen = tir.any(x == across.cases, across.inside(across.output(x), j))
            total += tir.if_then_else(seen, weight, zero)
        return total

    def beyond(c: Any, y: Any, x: Any, v: Any) -> Any:
        total: Any = zero
        for i in range(height):
            seen = tir.if_then_else(rows.inside(rows.output(y), i), row[c, i, x, v], zero)
            total += row[c, i, across.cases, v] - seen
        return total * tir.const(pad_value, sums)

    # The last case has all taps.
    row = te.compute((chunks, height, across.cases + 1, block), within, name="row_sums")
    return te.compute((chunks, rows.cases, across.cases, block), beyond, name="border")


def define_columns(cfg: Any, columns: Columns) -> int:
    """The knob of a tile's columns, whole steps; gives how many pixels the registers hold beside weights."""
    registers = blocked.vector_registers() // instructions.registers_a_block()
    most = max(registers - 4, 1)
    out_w = columns.axis.out
    tile_ow = [w for w in blocked.divisors(out_w, most) if w % columns.outputs == 0 or w == out_w]
    tile_ow = tile_ow or [1]
    most_untuned = 14 if out_w <= 14 else 8
    untuned = max((w for w in tile_ow if w <= most_untuned), default=tile_ow[0])
    blocked.knob(cfg, "tile_ow", tile_ow, untuned)
    return most


def _define_space(cfg: Any, chunks: int, rows: Axis, columns: Columns) -> None:
    """Tiles of whole steps that fit the registers beside the weights; ways to share out that keep all cores
    busy.
    """
    most = define_columns(cfg, columns)
    blocked.knob(cfg, "tile_oh", blocked.divisors(rows.out, 4), 1)
    blocked.knob(cfg, "unroll_tiles", [0, 1], 0)
    blocks = blocked.row_blocks(rows.out)
    ways = [depthwise.CHANNELS, *([depthwise.ROW_BLOCKS] if blocks > 1 else [])]
    keep = blocked.keeps_rows(rows.out)
    by_rows = keep or not blocked.balanced(chunks, blocked.cores())
    blocked.knob(cfg, "parallel_rows", ways, ways[-1] if by_rows else depthwise.CHANNELS)
    cfg.multi_filter(
        filter=lambda e: (
            (e["tile_oh"].val == 1 or e["tile_ow"].val * e["tile_oh"].val <= most)
            and (
                e["parallel_rows"].val != depthwise.ROW_BLOCKS
                or rows.out // blocks % e["tile_oh"].val == 0
            )
            and (e["parallel_rows"].val == depthwise.ROW_BLOCKS or not keep)
        )
    )


@autotvm.register_topi_schedule(NAME)  # type: ignore[untyped-decorator]
def schedule(cfg: Any, outs: Any) -> Any:
    """A tile of pixels outside, the rows of taps inside; the words of a block of channels once."""

    def one(s: Any, convolution: Any, accumulator: Any, output: Any) -> None:
        n, c, y, x, v = s[output].op.axis
        if cfg["parallel_rows"].val == depthwise.ROW_BLOCKS:
            n, y = blocked.split_rows(s[output], n, c, y)
        y_outer, y_inner = s[output].split(y, factor=cfg["tile_oh"].val)
        x_outer, x_inner = s[output].split(x, factor=cfg["tile_ow"].val)
        s[output].reorder(n, c, y_outer, x_outer, y_inner, x_inner, v)
        s[output].vectorize(v)
        for axis in (x_inner, y_inner, *([x_outer] if cfg["unroll_tiles"].val else [])):
            s[output].unroll(axis)
        if cfg["parallel_rows"].val == depthwise.ROW_BLOCKS:
            s[output].parallel(n)
        else:
            c = s[output].fuse(n, c)
            s[output].parallel(c)
        s[accumulator].compute_at(s[output], x_outer)
        schedule_taps(s[accumulator], convolution)
        schedule_words(s, output, c)

    return blocked.schedule_convolution(outs, one, tag=TAG)


def schedule_words(s: Any, output: Any, axis: Any) -> None:
    """What is made of a block's weights, once at each step of that axis of the output."""
    for made in reversed(_once_a_block(output)):
        s[made].compute_at(s[output], axis)
        *outer, lanes = s[made].op.axis
        s[made].vectorize(lanes)
        for one in outer:
            s[made].unroll(one)


def schedule_taps(stage: Any, convolution: Any) -> None:
    """Order the loops of a tile of pixels, all of it written out."""
    n, c, y, x, v = stage.op.axis
    row, load, byte = stage.op.reduce_axis
    stage.reorder(n, c, row, load, y, x, v, byte)
    for axis in (row, load, y, x):
        stage.unroll(axis)
    instructions.vectorize_columns(stage, v, byte, *convolution.op.input_tensors)


def _once_a_block(output: Any) -> list[Any]:
    """The stages that make words, and sums of a border, of a block's weights, each behind what it reads."""
    found: list[Any] = []

    def visit(tensor: Any) -> None:
        for one in tensor.op.input_tensors:
            visit(one)
        if tensor.op.name in MADE_ONCE and tensor not in found:
            found.append(tensor)

    visit(output)
    return found
