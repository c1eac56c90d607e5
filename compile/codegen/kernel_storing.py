# SPDX-License-Identifier: Apache-2.0
"""Which kernels do nothing but put floats on a grid of 8 bits, as a network's first does with an image.

Takes what TVM tells of the functions it compiled; gives `Storing`s by kernel, which `kernel_object.write`
keeps in the graph: an exported library that is given bytes leaves such a kernel out.
"""

import re
from collections.abc import Mapping
from typing import Any

from tvm import relay

from mnc.compile.frontend import markers
from mnc.compile.toolchain.graph import Storing

ROUNDING = ["multiply", "clip", "add", "reinterpret", "cast"]  # docs/int8.md, rule 1
PLAIN, BLOCKED = 4, 5  # axes of N x C x H x W, and of the same in blocks of channels


def storing(kernels: Mapping[str, Any]) -> dict[str, Storing]:
    """Of the kernels, as TVM's FunctionInfo by name, those that only store."""
    found = {name: _storing(list(info.relay_primfuncs.values())) for name, info in kernels.items()}
    return {name: one for name, one in found.items() if one is not None}


def _storing(functions: list[Any]) -> Storing | None:
    """Of a kernel that was compiled from these Relay functions (one, or it is not known)."""
    chain = _chain(functions[0].body) if len(functions) == 1 else []
    if len(chain) == 1 and chain[0].op.name == markers.PACKED_IMAGE:
        top, left, *_ = map(int, chain[0].attrs["border"])
        channels = int(chain[0].args[0].checked_type.shape[1])
        return Storing(top=top, left=left, numbers=channels if chain[0].attrs["pairs"] else 0)
    names = [call.op.name for call in chain]
    if names[: len(ROUNDING)] != ROUNDING:
        return None
    top = left = 0
    for call in chain[len(ROUNDING) :]:
        widths = _border(call)
        if widths is None:
            return None
        top, left = top + widths[0], left + widths[1]
    return Storing(top=top, left=left)


def _chain(node: Any) -> list[Any]:
    """The calls from a parameter on, each of the one before and of constants or scalars; none for a graph of
    another form.
    """
    calls: list[Any] = []
    while isinstance(node, relay.Call):
        calls.append(node)
        if not isinstance(node.op, type(relay.op.get("add"))) or not all(
            map(_is_scalar, node.args[1:])
        ):
            return []
        node = node.args[0]
    return calls[::-1] if isinstance(node, relay.Var) else []


def _is_scalar(node: Any) -> bool:
    return isinstance(node, relay.Var | relay.Constant) and len(node.checked_type.shape) == 0


def _is_blocking(call: Any) -> bool:
    to = str(call.attrs.dst_layout)
    return str(call.attrs.src_layout) == "NCHW" and re.fullmatch(r"NCHW\d+c", to) is not None


def _border(call: Any) -> tuple[int, int] | None:
    """Rows above and columns to the left that a call adds; None for one that does more than lay out."""
    if call.op.name == "reshape" or (call.op.name == "layout_transform" and _is_blocking(call)):
        return 0, 0
    if call.op.name != "nn.pad":
        return None
    widths = [tuple(int(width) for width in axis) for axis in call.attrs.pad_width]
    if len(widths) == PLAIN and not any(map(any, [widths[0], *widths[2:]])):
        return 0, 0  # channels, to a whole block
    if len(widths) == BLOCKED and not any(map(any, [*widths[:2], widths[4]])):
        return widths[2][0], widths[3][0]
    return None
