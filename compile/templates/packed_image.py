# SPDX-License-Identifier: Apache-2.0
"""An image of up to four channels put on a grid of 8 bits, a pixel's channels side by side.

Takes data (N, C, H, W) in float32; gives it with a border around it, as the first convolution in 8-bit
integers reads it: (N, 1, H', W', 4), a pixel's channels in a word, or (N, 1, H', pairs, 2), where a pixel
has as many bytes as channels. Vectors of pixels are rounded and shifted into words, or interleaved: number by
number, as TVM interleaves planes, a border's tests are made for each.
"""

from typing import Any

from tvm import te, tir, topi

from mnc.compile.templates import blocked

CHANNELS = 4  # bytes of a word
PAIR = 2  # bytes
MOST = 255  # of a number on the grid
ROUNDER = 12582912  # 1.5 * 2**23: adding it rounds, as the sum has no bits for fractions


def lanes() -> int:
    """Pixels at once."""
    return 8 if blocked.on_arm() else 16


def available(shape: tuple[int, ...]) -> bool:
    """Whether there is a way for images (N, C, H, W)."""
    return len(shape) == 4 and shape[1] <= CHANNELS and shape[3] >= lanes()


def shape(data: tuple[int, ...], border: tuple[int, ...], pairs: int) -> tuple[int, ...]:
    """What becomes of images of shape `data` with a `border` (top, left, bottom, right): rows of so many
    `pairs` of bytes, of words where that is 0.
    """
    batch, _, height, width = data
    top, left, bottom, right = border
    row = (pairs, PAIR) if pairs else (width + left + right, CHANNELS)
    return (batch, 1, height + top + bottom, *row)


def compute(
    data: Any, by: float, zero: int, border: tuple[int, ...], fill: int, dtype: str, pairs: int = 0
) -> Any:
    """x becomes x * `by` + `zero`, rounded, 0 to 255; 128 less where `dtype` is int8, not uint8. `border` is
    (top, left, bottom, right) of bytes `fill`, as are what rows of `pairs` have beyond it.
    """
    made = shape(topi.utils.get_const_tuple(data.shape), border, pairs)
    return te.extern(
        [made],
        [data],
        lambda ins, outs: _rows(ins[0], outs[0], by, zero, border, fill),
        dtype=[dtype],
        name="packed_image",
    )


def _rows(data: Any, out: Any, by: float, zero: int, border: tuple[int, ...], fill: int) -> Any:
    batch, channels, height, width = topi.utils.get_const_tuple(data.shape)
    top, left, _, _ = border
    rows, some, last = int(out.shape[2]), lanes(), int(out.shape[4])
    a_row, size = int(out.shape[3]) * last, channels if last == PAIR else CHANNELS
    builder = tir.ir_builder.create()

    def at(n: Any, y: Any, byte: Any) -> list[Any]:
        return [n, 0, y, byte // last, byte % last]

    def filled(n: Any, y: Any, first: int, end: int) -> None:
        if end > first:
            with builder.for_range(0, end - first, name="byte") as byte:
                builder.emit(out.vstore(at(n, y, first + byte), tir.const(fill, out.dtype)))

    def pixels(n: Any, y: Any, x: Any) -> None:
        planes = [
            data.vload([n, channel, y - top, x], f"float32x{some}") for channel in range(channels)
        ]
        offset = 128 if out.dtype == "int8" else 0
        made = (_interleaved if last == PAIR else _words)(planes, by, zero, offset)
        builder.emit(out.vstore(at(n, y, (x + left) * size), made))

    with builder.for_range(0, batch * rows, kind="parallel", name="row") as row:
        n, y = row // rows, row % rows
        inside = tir.all(y >= top, y < top + height)
        with builder.if_scope(inside):
            filled(n, y, 0, left * size)
            with builder.for_range(0, width // some, name="vector") as vector:
                pixels(n, y, vector * some)
            if width % some:
                pixels(n, y, width - some)
            filled(n, y, (left + width) * size, a_row)
        with builder.else_scope():
            filled(n, y, 0, a_row)
    return builder.get()


def _words(planes: list[Any], by: float, zero: int, offset: int) -> Any:
    """The last byte of each plane's numbers beside the others'; what is beyond the channels, in a word's last
    bytes, has weights of zero.
    """
    whole = planes[0].dtype.replace("float", "int")
    byte, last = tir.const(8, whole), tir.const(0xFF, whole)
    words: Any = None
    for plane in reversed(planes):
        number = _number(plane, by, zero, offset)
        words = number if words is None else (words << byte) | (number & last)
    return tir.call_intrin(f"{_bytes(offset)}x{lanes() * CHANNELS}", "tir.reinterpret", words)


def _number(plane: Any, by: float, zero: int, offset: int) -> Any:
    """Integers whose last byte is the number on the grid. The bounds keep product and addition apart."""
    floats = plane.dtype
    kept = tir.min(plane * tir.const(by, floats), tir.const(MOST - zero, floats))
    kept = tir.max(kept, tir.const(-zero, floats))
    rounded = kept + tir.const(ROUNDER + zero - offset, floats)
    return tir.call_intrin(floats.replace("float", "int"), "tir.reinterpret", rounded)


def _interleaved(planes: list[Any], by: float, zero: int, offset: int) -> Any:
    """The numbers of all planes, pixel by pixel."""
    some, kind = lanes(), _bytes(offset)
    # A tie goes to the even sum with the zero point: not to the even product where that is odd.
    narrow = blocked.on_aarch64() and offset and zero % 2 == 0
    made = [
        _saturated(plane, by, zero - offset)
        if narrow
        else tir.Cast(f"{kind}x{some}", _number(plane, by, zero, offset))
        for plane in planes
    ]
    order = [some * plane + pixel for pixel in range(some) for plane in range(len(made))]
    return tir.Shuffle(made, order) if len(made) > 1 else made[0]


def _saturated(plane: Any, by: float, zero: int) -> Any:
    """Eight numbers, rounded to integers by an instruction and then halved twice by ones that keep bounds."""
    product = plane * tir.const(by, plane.dtype)
    parts = [tir.call_intrin("float32x4", f"tir.vector{half}", product) for half in ("low", "high")]
    nearest = [_neon("int32x4", "fcvtns.v4i32.v4f32", part) for part in parts]
    halves = [_neon("int16x4", "sqxtn.v4i16", one) for one in nearest]
    numbers = tir.call_intrin("int16x8", "tir.vectorcombine", *halves)
    moved = _neon("int16x8", "sqadd.v8i16", numbers, tir.const(zero, "int16x8"))
    return _neon("int8x8", "sqxtn.v8i8", moved)


def _neon(kind: str, name: str, *args: Any) -> Any:
    count = tir.const(len(args), "uint32")
    return tir.call_llvm_pure_intrin(kind, f"llvm.aarch64.neon.{name}", count, *args)


def _bytes(offset: int) -> str:
    return "int8" if offset else "uint8"
