# SPDX-License-Identifier: Apache-2.0
"""What the templates share: shapes of the blocked layout, padding, register budget, epilogue.

Takes TE tensors in NCHW{b}c (weights OIHW{i}i{o}o) and gives stages scheduled so that one vector holds the
b channels of a pixel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import te, tir, topi
from tvm.topi.nn.utils import get_pad_tuple

FLOATS = ("float32", "float16")  # what maps and weights of the templates for floats are in
LARGEST_HALF = 65504.0
IN_ORDER = frozenset(f"cortex-a{number}" for number in (5, 7, 8, 35, 53, 55, 510, 520))


def padded(data: Any, pads: Sequence[int], value: int = 0) -> Any:
    """`data` (N, C, H, W, b) read through a border of `value`: `pads` is (top, left, bottom, right).

    The stage is inlined by the schedules, so no padded copy of the input is ever made: with the pixel loop
    unrolled only the loads that may touch the border keep a test.
    """
    top, left, bottom, right = pads
    if not any(pads):
        return data
    batch, chunks, height, width, block = topi.utils.get_const_tuple(data.shape)

    def read(n: Any, c: Any, y: Any, x: Any, v: Any) -> Any:
        inside = tir.all(y >= top, y < top + height, x >= left, x < left + width)
        border = tir.const(value, data.dtype)
        return tir.if_then_else(inside, data[n, c, y - top, x - left, v], border)

    shape = (batch, chunks, height + top + bottom, width + left + right, block)
    return te.compute(shape, read, name="padded", tag="injective,pad")


def output_size(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """Pixels along one axis of a convolution's output."""
    return (size + before + after - kernel) // stride + 1


@dataclass(frozen=True)
class Window:
    """How a convolution's taps move over its input: `source` is the input read through its padding."""

    source: Any
    out_h: int
    out_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    tap_h: Any
    tap_w: Any

    def at(self, y: Any, x: Any) -> tuple[Any, Any]:
        """Row and column of `source` that the tap reads for output pixel (y, x)."""
        row = y * self.stride_h + self.tap_h * self.dilation_h
        return row, x * self.stride_w + self.tap_w * self.dilation_w


def window(
    data: Any, kernel: Any, strides: Any, padding: Any, dilation: Any = 1, *, pad_value: int = 0
) -> Window:
    """The window of `kernel` (O, I, KH, KW, i, o) over `data` (N, C, H, W, b)."""
    _, _, height, width, _ = topi.utils.get_const_tuple(data.shape)
    kernel_h, kernel_w = topi.utils.get_const_tuple(kernel.shape)[2:4]
    stride_h, stride_w = pair(strides)
    dilation_h, dilation_w = pair(dilation)
    spread_h, spread_w = (kernel_h - 1) * dilation_h + 1, (kernel_w - 1) * dilation_w + 1
    top, left, bottom, right = get_pad_tuple(padding, (spread_h, spread_w))
    return Window(
        source=padded(data, (top, left, bottom, right), pad_value),
        out_h=output_size(height, spread_h, stride_h, top, bottom),
        out_w=output_size(width, spread_w, stride_w, left, right),
        stride_h=stride_h,
        stride_w=stride_w,
        dilation_h=dilation_h,
        dilation_w=dilation_w,
        tap_h=te.reduce_axis((0, kernel_h), name="tap_h"),
        tap_w=te.reduce_axis((0, kernel_w), name="tap_w"),
    )


def pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal) from one number or two."""
    first, second = (value, value) if isinstance(value, int | tir.IntImm) else value
    return int(first), int(second)


def divisors(number: int, most: int) -> list[int]:
    """Divisors of `number` up to `most`, ascending."""
    return [d for d in range(1, min(number, most) + 1) if number % d == 0]


def cores() -> int:
    """Cores that a kernel should keep busy: the target's, two at least."""
    return max(2, int(tvm.target.Target.current().attrs.get("num-cores", 2)))


def balanced(steps: int, cores: int) -> bool:
    """Whether `cores` that share out `steps` of a parallel loop are busy for four fifths of the time."""
    return -(-steps // cores) * cores <= 1.25 * steps


def row_blocks(rows: int) -> int:
    """Blocks of rows that the cores share out: the fewest that divide `rows`; 1 where only many small ones
    would.
    """
    blocks = min((d for d in divisors(rows, rows) if d >= cores()), default=1)
    return blocks if blocks <= 2 * cores() else 1


def keeps_rows(rows: int) -> bool:
    """Whether a layer of so many rows is always shared out by rows: one block for each core, which has
    a second-level cache of its own. Rows that a neighbouring layer gave to another core come from that one's
    cache, and what two cores have read costs more to write again (measured on x86, see docs/performance.md).
    """
    return row_blocks(rows) == cores() and not on_arm()


def on_arm() -> bool:
    """Whether the current target is an ARM CPU."""
    return "arm_cpu" in tvm.target.Target.current().keys


def tile_scope() -> str:
    """Of the sums of a register tile. "global" and small is on the stack, whence LLVM takes it into
    registers; "local" is asked of the runtime at each tile, which costs a core more than a small tile of a
    depthwise convolution (512 channels at 14x14 on a Cortex-A76, by the core model: 164 us, on the stack 56).
    """
    return "global" if on_arm() else "local"


def in_order() -> bool:
    """Whether the current target's core issues instructions in the order of the program."""
    return str(tvm.target.Target.current().attrs.get("mcpu", "")) in IN_ORDER


def on_aarch64() -> bool:
    """Whether the current target is a 64-bit ARM CPU, and says so."""
    triple = str(tvm.target.Target.current().attrs.get("mtriple", ""))
    return triple.startswith(("aarch64", "arm64"))


def split_rows(stage: Any, n: Any, channel: Any, y: Any) -> tuple[Any, Any]:
    """Part y into `row_blocks`, outside the channels: (axis of batch and blocks, rest of y)."""
    block, rest = stage.split(y, nparts=row_blocks(int(y.dom.extent)))
    stage.reorder(n, block, channel, rest)
    return stage.fuse(n, block), rest


def vector_registers() -> int:
    """Architectural vector registers of the current target."""
    target = tvm.target.Target.current()
    triple = str(target.attrs.get("mtriple", ""))
    if on_aarch64():
        return 32
    if triple.startswith(("arm", "thumb")):
        return 16
    has_feature = tvm.get_global_func("target.llvm_cpu_has_feature")
    return 32 if has_feature("avx512f", target) else 16


def by_element(dtype: str) -> bool:
    """Whether the current target multiplies a vector by a half, of which AArch64 takes only those that are in
    the lower half of the registers: a loop that reads single numbers ahead has as many for its tile.
    """
    return dtype == "float16" and on_arm()


def tile_knobs(
    cfg: Any,
    channels: tuple[str, Sequence[int]],
    pixels: tuple[str, Sequence[int]],
    *,
    registers: int | None = None,
) -> list[tuple[int, int]]:
    """Define the two knobs (name, candidates) of a register tile; returns the pairs that are worth a trial.

    A tile of `oc` vectors of channels x `p` pixels needs its accumulators, `oc` weight vectors and one
    broadcast (which x86 folds into the multiply-add). One with few accumulators cannot hide the latency
    of the multiply-add, about 4 cycles x 2 pipes. `registers` is how many blocks of channels they hold; by
    default one each.
    """
    registers = registers or vector_registers()
    fits = [(oc, p) for oc in channels[1] for p in pixels[1] if oc * p + oc + 1 <= registers]
    fullest = max(oc * p for oc, p in fits)
    good = [(oc, p) for oc, p in fits if oc * p >= min(fullest, 6)]
    best = max(good, key=lambda tile: (tile[0] * tile[1], -abs(tile[0] - 2)))
    knob(cfg, channels[0], channels[1], best[0])
    knob(cfg, pixels[0], pixels[1], best[1])
    return good


def schedule_convolution(
    outs: Any,
    schedule_one: Callable[[Any, Any, Any, Any], None],
    *,
    tag: str,
    inline_padding: bool = True,
) -> Any:
    """Create a schedule for `outs`, find the convolution with `tag` in it and schedule that.

    Calls `schedule_one(schedule, convolution, accumulator, output)`. The accumulator is the stage that holds
    partial sums: the convolution itself when an epilogue (bias, activation, residual) follows it in the same
    kernel, otherwise a cache of its output. Element-wise stages in between are
    inlined into `output`.
    """
    outs = [outs] if isinstance(outs, te.tensor.Tensor) else outs
    schedule = te.create_schedule([out.op for out in outs])

    def found(op: Any) -> None:
        if tag not in op.tag:
            return
        convolution, output = op.output(0), outs[0]
        source = op.input_tensors[0]
        if inline_padding and "pad" in source.op.tag:
            schedule[source].compute_inline()
        if convolution == output:
            accumulator = schedule.cache_write(convolution, tile_scope())
        else:
            accumulator = convolution
            schedule[convolution].set_scope(tile_scope())
        schedule_one(schedule, convolution, accumulator, output)

    topi.utils.traverse_inline(schedule, outs[0].op, found)
    return schedule


def knob(cfg: Any, name: str, candidates: Sequence[int], default: int) -> None:
    """Define an integer knob; an untuned build uses `default`."""
    cfg.define_knob(name, list(candidates))
    if cfg.is_fallback:
        cfg[name] = tvm.autotvm.task.space.OtherOptionEntity(default)
