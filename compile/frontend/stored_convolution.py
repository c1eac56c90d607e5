# SPDX-License-Identifier: Apache-2.0
"""The convolution, bias, multiplication and rounding that a map in 8 bits is made of, read off Relay.

Takes the last expression of what `integer_forms.Sums` and `storing` make, in any layout; gives its parts, for
operators of our own that do all of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tvm import relay

from mnc.compile.frontend import markers, rounding
from mnc.compile.frontend.expressions import is_call
from mnc.compile.frontend.storing import WHOLE, WHOLE_BITS
from mnc.compile.templates.packed_image import ROUNDER

FULL = {"uint8": (0, 255), "int8": (-128, 127)}


@dataclass(frozen=True)
class StoredConvolution:
    """`convolution` is the Relay call, `nodes` all from it to the stored map; `bias` int32 and `scale`
    float32 have one number a channel, as the layout has them. `zero`, `least` and `most` as in memory.
    """

    convolution: Any
    bias: NDArray[np.int32]
    scale: NDArray[np.float32]
    zero: int
    least: int
    most: int
    nodes: tuple[Any, ...]


@dataclass
class _Chain:
    """Walks from the last expression to the first."""

    node: Any
    seen: list[Any]

    def take(self, name: str, **attrs: Any) -> Any:
        """The call here, if it is of `name` with these attributes, and go on to what it reads; else None."""
        call = self.node
        if not is_call(call, name):
            return None
        if any(getattr(call.attrs, key) != value for key, value in attrs.items()):
            return None
        self.seen.append(call)
        self.node = call.args[0]
        return call

    def constant(self, name: str) -> Any:
        """The constant of a call of `name` here, as numpy's array; None if there is no such call."""
        constant = is_call(self.node, name) and self.node.args[1]
        if not isinstance(constant, relay.Constant):
            return None
        self.take(name)
        return constant.data.numpy()


def stored_convolution(stored: Any) -> StoredConvolution | None:
    """None where `stored` is not made so, or one of its numbers is not one a channel."""
    chain = _Chain(stored, [])
    levels = _levels(chain)
    scale = chain.constant("multiply")
    bias = _bias(chain)
    if levels is None or scale is None or bias is None or scale.ndim != bias.ndim == 5:
        return None
    if not is_call(chain.node, markers.BLOCKED_CONVOLUTION) or bias.shape != scale.shape:
        return None
    return StoredConvolution(chain.node, bias, scale, *levels, (*chain.seen, chain.node))


def _levels(chain: _Chain) -> tuple[int, int, int] | None:
    """(zero point, least, most) of `storing`'s `saturated`, `narrowed` or `rounded`, in memory."""
    dtype = str(getattr(getattr(chain.node, "attrs", None), "dtype", "")) or "int8"
    bounds = chain.take("clip") if dtype == "int8" else None
    if chain.take("cast", dtype=dtype) is None or dtype not in FULL:
        return None
    low, high = (
        FULL[dtype] if bounds is None else (int(bounds.attrs.a_min), int(bounds.attrs.a_max))
    )
    kept = chain.take("clip")
    if kept is not None and chain.take("cast", dtype="int16"):  # narrowed
        zero = _shift(chain)
        return None if zero is None or not chain.take(rounding.UNFUSED) else (zero, low, high)
    if kept is not None:  # saturated
        more = chain.constant("add")
        zero = 0 if more is None else int(more)
        kept_within = int(kept.attrs.a_min), int(kept.attrs.a_max)
        return (zero, *kept_within) if chain.take(rounding.NEAREST) else None
    zero, kept = _shift(chain), chain.take("clip")
    if zero is None or kept is None:
        return None
    return zero, int(kept.attrs.a_min) + zero, int(kept.attrs.a_max) + zero


def _shift(chain: _Chain) -> int | None:
    """The zero point that is added as floats are rounded."""
    if not chain.take("reinterpret", dtype="int32"):
        return None
    shift = chain.constant("add")
    return None if shift is None else int(shift) - ROUNDER


def _bias(chain: _Chain) -> NDArray[np.int32] | None:
    """What is added to the sums, before `storing.floats` makes floats of them."""
    if chain.take("cast", dtype="float32"):
        return chain.constant("add")  # type: ignore[no-any-return]
    taken = chain.constant("subtract")
    if taken is None or not chain.take("reinterpret", dtype="float32"):
        return None
    bits = chain.constant("add")
    return None if bits is None else bits - np.int32(WHOLE_BITS - (WHOLE - int(taken)))
