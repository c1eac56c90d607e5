# SPDX-License-Identifier: Apache-2.0
"""An image of up to four channels put on a grid of 8 bits, a pixel's channels side by side in a word.

Takes data (N, C, H, W) in float32; gives (N, 1, H', W', 4) with a border around it, as the first convolution
in 8-bit integers reads it. Vectors of pixels are rounded and shifted into words: number by number, as TVM
interleaves planes, a border's tests are made for each.
"""

from typing import Any

from tvm import te, tir, topi

from mnc.compile.templates import blocked

CHANNELS = 4  # bytes of a word
MOST = 255  # of a number on the grid
ROUNDER = 12582912  # 1.5 * 2**23: adding it rounds, as the sum has no bits for fractions


def lanes() -> int:
    """Pixels at once."""
    return 8 if blocked.on_arm() else 16


def available(shape: tuple[int, ...]) -> bool:
    """Whether there is a way for images (N, C, H, W)."""
    return len(shape) == 4 and shape[1] <= CHANNELS and shape[3] >= lanes()


def compute(data: Any, by: float, zero: int, border: tuple[int, ...], fill: int, dtype: str) -> Any:
    """x becomes x * `by` + `zero`, rounded, 0 to 255; 128 less where `dtype` is int8, not uint8. `border` is
    (top, left, bottom, right) of bytes `fill`.
    """
    batch, _, height, width = topi.utils.get_const_tuple(data.shape)
    top, left, bottom, right = border
    shape = (batch, 1, height + top + bottom, width + left + right, CHANNELS)
    return te.extern(
        [shape],
        [data],
        lambda ins, outs: _rows(ins[0], outs[0], by, zero, border, fill),
        dtype=[dtype],
        name="packed_image",
    )


def _rows(data: Any, out: Any, by: float, zero: int, border: tuple[int, ...], fill: int) -> Any:
    batch, _, height, width = topi.utils.get_const_tuple(data.shape)
    top, left, _, right = border
    rows, some = int(out.shape[2]), lanes()
    builder = tir.ir_builder.create()

    def filled(n: Any, y: Any, first: int, count: int) -> None:
        if count:
            with builder.for_range(0, count * CHANNELS, name="byte") as byte:
                at = [n, 0, y, first + byte // CHANNELS, byte % CHANNELS]
                builder.emit(out.vstore(at, tir.const(fill, out.dtype)))

    def pixels(n: Any, y: Any, x: Any) -> None:
        planes = [
            data.vload([n, channel, y - top, x], f"float32x{some}")
            for channel in range(int(data.shape[1]))
        ]
        words = _words(planes, by, zero, 128 if out.dtype == "int8" else 0)
        stored = tir.call_intrin(f"{out.dtype}x{some * CHANNELS}", "tir.reinterpret", words)
        builder.emit(out.vstore([n, 0, y, x + left, 0], stored))

    with builder.for_range(0, batch * rows, kind="parallel", name="row") as row:
        n, y = row // rows, row % rows
        inside = tir.all(y >= top, y < top + height)
        with builder.if_scope(inside):
            filled(n, y, 0, left)
            with builder.for_range(0, width // some, name="vector") as vector:
                pixels(n, y, vector * some)
            if width % some:
                pixels(n, y, width - some)
            filled(n, y, left + width, right)
        with builder.else_scope():
            filled(n, y, 0, left + width + right)
    return builder.get()


def _words(planes: list[Any], by: float, zero: int, offset: int) -> Any:
    """The last byte of each plane's numbers beside the others'; what is beyond the channels, in a word's last
    bytes, has weights of zero. The bounds keep product and addition apart.
    """
    floats = planes[0].dtype
    whole = floats.replace("float", "int")
    byte, last = tir.const(8, whole), tir.const(0xFF, whole)
    words: Any = None
    for plane in reversed(planes):
        kept = tir.min(plane * tir.const(by, floats), tir.const(MOST - zero, floats))
        kept = tir.max(kept, tir.const(-zero, floats))
        rounded = kept + tir.const(ROUNDER + zero - offset, floats)
        number = tir.call_intrin(whole, "tir.reinterpret", rounded)
        words = number if words is None else (words << byte) | (number & last)
    return words
