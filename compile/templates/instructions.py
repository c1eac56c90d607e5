# SPDX-License-Identifier: Apache-2.0
"""Which of the families of integer instructions the current target has.

Takes the current TVM target; gives its widest `MultiplyAdd`, and how its 8-bit maps are kept in memory.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import tvm
from tvm import te

from mnc.compile.templates import blocked, dot_product, pairwise, widening
from mnc.compile.templates.depthwise_tile import DepthwiseTile
from mnc.compile.templates.multiply_add import MultiplyAdd, columns, step
from mnc.compile.templates.register_tile import BLOCK, RegisterTile

Found = TypeVar("Found", MultiplyAdd, RegisterTile)

# By LLVM's name of the feature, the best first.
_X86 = (
    ("avx512vnni", dot_product.VNNI_512),
    ("avxvnni", dot_product.VNNI_256),
    ("avx512bw", pairwise.AVX512),
    ("avx2", pairwise.AVX2),
)
# For pointwise convolutions whose weights they are exact for.
_BYTES = {pairwise.AVX512: pairwise.AVX512_BYTES, pairwise.AVX2: pairwise.AVX2_BYTES}
_AARCH64 = (("dotprod", dot_product.SDOT), ("neon", widening.AARCH64))
_ARM = (("neon", widening.ARM),)


_AARCH64_TILES = (
    ("i8mm", dot_product.SMMLA_TILE),
    ("dotprod", dot_product.SDOT_TILE),
    ("neon", widening.AARCH64_TILE),
)
_ARM_TILES = (("neon", widening.ARM_TILE),)
_DEPTHWISE: dict[MultiplyAdd, DepthwiseTile] = {
    dot_product.SDOT: dot_product.SDOT_DEPTHWISE,
    widening.AARCH64: widening.AARCH64_DEPTHWISE,
    widening.ARM: widening.ARM_DEPTHWISE,
}


def available() -> MultiplyAdd | None:
    """The widest of the current target, or None."""
    if not blocked.on_arm():
        return _first(_X86)
    return _first(_AARCH64 if blocked.vector_registers() == 32 else _ARM)


def _tile() -> RegisterTile | None:
    """How the current target multiplies a tile of a pointwise convolution that it keeps in registers."""
    if not blocked.on_arm():
        return None
    return _first(_AARCH64_TILES if blocked.vector_registers() == 32 else _ARM_TILES)


def _first(known: Sequence[tuple[str, Found]]) -> Found | None:
    """Of what the current target has the feature for."""
    target = tvm.target.Target.current()
    has_feature = tvm.get_global_func("target.llvm_cpu_has_feature")
    return next((found for feature, found in known if has_feature(feature, target)), None)


def fit(weights: Any) -> bool:
    """Whether the current target's instructions sum products of such weights without overflow. Where pairs
    are summed in 16 bits, (-128) * (-128) * 2 is one too many: other networks' own weights may be -128,
    ours are not.
    """
    return available() not in (widening.AARCH64, widening.ARM) or bool((weights > -128).all())


def weight_group(weights: Any, *, pointwise: bool) -> int:
    """Input channels that lie side by side in a convolution's `weights` (O, I, KH, KW); 1 where there is no
    instruction.
    """
    found = available()
    if not pointwise or not found:
        return found.group if found else 1
    of_bytes, tile = _BYTES.get(found), _tile()
    if of_bytes and _pairs_fit(weights, of_bytes.largest_pair):
        return of_bytes.group
    return tile.group if tile else found.group


def _pairs_fit(weights: Any, largest: int) -> bool:
    """Whether no two neighbouring input channels of `weights` (O, I, KH, KW) have a larger sum."""
    pairs = weights[:, : weights.shape[1] // 2 * 2].reshape(len(weights), -1, 2).astype("int32")
    return bool((abs(pairs.sum(axis=2)) <= largest).all())


def largest_pair(group: int) -> int:
    """Up to which sum of two weights the current target multiplies groups of so many; 0: any."""
    of_bytes = _BYTES.get(found) if (found := available()) else None
    return of_bytes.largest_pair if of_bytes and of_bytes.group == group else 0


def tile_of(data: Any, kernel: Any) -> RegisterTile | None:
    """How the current target multiplies a tile of a pointwise convolution; None where that is by vectors of
    channels, a `MultiplyAdd` each.
    """
    tile = _tile() if data.dtype == "int8" else None
    blocks = [int(extent) for extent in (data.shape[4], *kernel.shape[5:])]
    return tile if tile and blocks == [BLOCK, BLOCK, tile.group] else None


def stored() -> str:
    """The type in which the current target keeps 8-bit maps: what its instruction multiplies by int8."""
    return "int8" if blocked.on_arm() else "uint8"


def depthwise_tile() -> DepthwiseTile | None:
    """How the current target multiplies a tile of a depthwise convolution, where it has a way for int8."""
    found = available()
    return _DEPTHWISE.get(found) if found else None


def multiplies_pairs() -> bool:
    """Whether the current target's kernels of `image_kernel` are for it: it has no dot product."""
    return available() is widening.AARCH64


def registers_a_block(block: int = 16) -> int:
    """Vector registers that the 32-bit sums of a block of channels take."""
    found = available()
    lanes = found.lanes if found else 16 if blocked.vector_registers() == 32 else 8
    if blocked.on_arm():
        lanes = 4
    return max(1, block // lanes)


def group() -> int:
    """Products that go into a sum at once; 4 where that makes no difference."""
    found = available()
    return found.group if found else 4


def widened(data: Any, group: int) -> Any:
    """`data` as the `MultiplyAdd` of groups of so many best reads it again and again: a stage for each
    tile, or `data` itself.
    """
    found = _of_group(group)
    if found is None or not found.wide or found.data != data.dtype:
        return data
    wide = found.wide
    return te.compute(data.shape, lambda *at: data[at].astype(wide), name="widened")


def schedule_widened(s: Any, convolution: Any, output: Any, tile: Any) -> None:
    """Put that stage, if there is one, at axis `tile` of the output."""
    source = convolution.op.input_tensors[0]
    if source.op.name == "widened":
        s[source].set_scope("local")
        s[source].compute_at(s[output], tile)
        s[source].vectorize(s[source].op.axis[-1])


def vectorize(stage: Any, channel: Any, byte: Any, data: Any, kernel: Any) -> None:
    """The innermost axes of sums, output channels and a group of input channels, become the CPU's
    `MultiplyAdd`; plain vectors where it has none for such data.
    """
    block, size = (int(extent) for extent in kernel.shape[5:])
    found = _for(data, size, block)
    _replace(
        stage,
        channel,
        byte,
        step(found, block, data.dtype, scope=blocked.tile_scope()) if found else None,
    )


def vectorize_columns(stage: Any, channel: Any, byte: Any, data: Any, words: Any) -> None:
    """As `vectorize`, of a block of channels and neighbouring columns, with weights in words."""
    block = int(words.shape[-1])
    found = _for(data, group(), block)
    _replace(
        stage, channel, byte, columns(found, block, scope=blocked.tile_scope()) if found else None
    )


def _for(data: Any, size: int, block: int) -> MultiplyAdd | None:
    """The current target's, if it is for such data in groups of `size` and blocks of channels."""
    found = _of_group(size)
    if found is None or block % found.lanes:
        return None
    return found if data.dtype in (found.data, found.wide) else None


def _of_group(group: int) -> MultiplyAdd | None:
    """The current target's of groups of so many numbers."""
    found = available()
    known = (found, _BYTES.get(found)) if found else ()
    return next((one for one in known if one and one.group == group), None)


def _replace(stage: Any, channel: Any, byte: Any, intrinsic: Any) -> None:
    if intrinsic is not None:
        stage.tensorize(channel, intrinsic)
    else:
        stage.unroll(byte)
        stage.vectorize(channel)
