# SPDX-License-Identifier: Apache-2.0
"""The operators that mark in which numbers a network is, in Relay, and the convolution that 8 bits lead to.

`fake_quantize` and `quantized_weight` are what `model/quantization` puts into a network and mean the same;
none is ever compiled: `quantized.to_integers` makes integers of what stands between them. Behind what
`IN_FLOAT32` stands is not for half precision.
`INTEGER_CONVOLUTION` is a convolution of int8 or uint8 maps in the plain layout, which `layout` lays out as
`BLOCKED_CONVOLUTION`, the one that `compile.templates.integer` computes. `LOOKUP` is that of
`compile.templates.lookup`, `PACKED_IMAGE` that of `compile.templates.packed_image`.
"""

from typing import Any

import numpy as np
import tvm
from tvm import relay, te
from tvm.relay.op import op as registry
from tvm.relay.op.strategy import generic

from mnc.compile.frontend import own_operators
from mnc.compile.templates import integer, lookup, packed_image
from mnc.compile.templates.workload import Workload

FAKE_QUANTIZE, QUANTIZED_WEIGHT = "mnc.fake_quantize", "mnc.quantized_weight"
IN_FLOAT32 = "mnc.in_float32"
INTEGER_CONVOLUTION, BLOCKED_CONVOLUTION = "mnc.integer_conv2d", "mnc.integer_conv2d_NCHWc"
LOOKUP, PACKED_IMAGE = "mnc.lookup_NCHWc", "mnc.packed_image"


def from_torch() -> dict[str, Any]:
    """How Relay's importer is to read torch's operators of these names."""
    return {
        "mnc::fake_quantize": _fake_quantize,
        "mnc::quantized_weight": lambda inputs, _: _marked(QUANTIZED_WEIGHT, inputs),
        "mnc::in_half": lambda inputs, _: inputs[1],
        "mnc::in_float32": lambda inputs, _: _marked(IN_FLOAT32, inputs),
    }


def _fake_quantize(inputs: Any, _: Any) -> Any:
    data, scale, zero = inputs
    numbers = (np.float32(scale), np.int32(zero))
    return relay.Call(relay.op.get(FAKE_QUANTIZE), [data, *map(relay.const, numbers)])


def _marked(name: str, inputs: Any) -> Any:
    return relay.Call(relay.op.get(name), list(inputs))


def convolution(data: Any, weight: Any, *, blocked: bool, **attrs: Any) -> Any:
    """A call of the convolution; `attrs` are strides, padding, dilation, groups and pad_value."""
    name = BLOCKED_CONVOLUTION if blocked else INTEGER_CONVOLUTION
    return relay.Call(relay.op.get(name), [data, weight], tvm.ir.make_node("DictAttrs", **attrs))


def looked_up(data: Any, table: Any) -> Any:
    """Of a blocked map, for which `lookup` is available, with a table as it takes it."""
    return relay.Call(relay.op.get(LOOKUP), [data, table])


def packed(image: Any, **attrs: Any) -> Any:
    """Of a float32 image for which `packed_image` is available; `attrs` are by, zero, border, fill, dtype
    and pairs.
    """
    return relay.Call(relay.op.get(PACKED_IMAGE), [image], tvm.ir.make_node("DictAttrs", **attrs))


def workload_of(call: Any) -> Workload:
    """The workload of a typed call of `BLOCKED_CONVOLUTION`."""
    shapes = [tuple(int(d) for d in arg.checked_type.shape) for arg in call.args]
    tensors = (
        ("TENSOR", shape, str(arg.checked_type.dtype))
        for shape, arg in zip(shapes, call.args, strict=True)
    )
    strides, padding, *rest = _arguments(call.attrs)
    dtypes = str(call.args[0].checked_type.dtype), str(call.args[1].checked_type.dtype)
    name = integer.template_name(shapes[0], shapes[1], strides, padding, dtypes=dtypes)
    return name, (*tensors, strides, padding, *rest)


def _arguments(attrs: Any) -> tuple[Any, ...]:
    """What the templates take after the tensors."""
    numbers = (tuple(int(v) for v in attrs[name]) for name in ("strides", "padding", "dilation"))
    return (*numbers, int(attrs["pad_value"]), integer.SUMS)


def _type(args: Any, attrs: Any) -> Any:
    """Of either convolution: rows and columns are axes 2 and 3 of both layouts."""
    data, kernel = args[:2]
    if not all(isinstance(one, relay.TensorType) for one in (data, kernel)):
        return None
    strides, (top, left, bottom, right), dilation, *_ = _arguments(attrs)
    size = [
        (int(extent) + border - (int(taps) - 1) * apart - 1) // step + 1
        for extent, border, taps, apart, step in zip(
            data.shape[2:4],
            (top + bottom, left + right),
            kernel.shape[2:4],
            dilation,
            strides,
            strict=True,
        )
    ]
    blocks = [kernel.shape[5]] if len(data.shape) == 5 else []
    return relay.TensorType((data.shape[0], kernel.shape[0], *size, *blocks), integer.SUMS)


def _same(args: Any, _: Any) -> Any:
    """float32 in the shape of the first argument."""
    first = args[0]
    return relay.TensorType(first.shape, "float32") if isinstance(first, relay.TensorType) else None


def _as_table(args: Any, _: Any) -> Any:
    data, table = args[:2]
    if not all(isinstance(one, relay.TensorType) for one in (data, table)):
        return None
    return relay.TensorType(data.shape, table.dtype)


def _of_packed(args: Any, attrs: Any) -> Any:
    image = args[0]
    if not isinstance(image, relay.TensorType):
        return None
    sizes, border = tuple(map(int, image.shape)), tuple(map(int, attrs["border"]))
    return relay.TensorType(packed_image.shape(sizes, border, int(attrs["pairs"])), attrs["dtype"])


def _packed(image: Any, attrs: Any) -> Any:
    border, fill = tuple(map(int, attrs["border"])), int(attrs["fill"])
    by, zero, dtype = float(attrs["by"]), int(attrs["zero"]), str(attrs["dtype"])
    pairs = int(attrs["pairs"])
    return packed_image.compute(image, by, zero, border, fill, dtype, pairs)


def _as_it_is(_: Any, outs: Any, __: Any) -> Any:
    """The schedule of what says itself how it is done."""
    return te.create_schedule([out.op for out in outs])


@tvm.target.override_native_generic_func("mnc_integer_convolution_strategy")  # type: ignore[untyped-decorator]
def _strategy(attrs: Any, inputs: Any, out_type: Any, target: Any) -> Any:
    shapes = [tuple(int(d) for d in tensor.shape) for tensor in inputs]
    numbers = _arguments(attrs)
    dtypes = str(inputs[0].dtype), str(inputs[1].dtype)
    name = integer.template_name(shapes[0], shapes[1], *numbers[:2], dtypes=dtypes)
    compute, schedule = integer.TEMPLATES[name]
    answer = registry.OpStrategy()
    answer.add_implementation(
        lambda attrs, inputs, _: [compute(*inputs, *_arguments(attrs))],
        generic.wrap_topi_schedule(schedule),
        name=name,
    )
    return answer


def _register() -> None:
    for name, relation, count in (
        (FAKE_QUANTIZE, _same, 3),
        (QUANTIZED_WEIGHT, _same, 2),
        (IN_FLOAT32, _same, 1),
        (INTEGER_CONVOLUTION, _type, 2),
        (BLOCKED_CONVOLUTION, _type, 2),
    ):
        about = "Of a network in other numbers than float32."
        own_operators.register(name, about, inputs=count, relation=relation, attributes=True)
    about = "A table looked up for each byte of a blocked map."
    own_operators.register(LOOKUP, about, inputs=2, relation=_as_table)
    own_operators.implement(
        LOOKUP,
        registry.OpPattern.OPAQUE,
        lambda _, inputs, __: [lookup.compute(*inputs)],
        _as_it_is,
    )
    about = (
        "A float32 image put on a grid of 8 bits, with a border, a pixel's channels side by side."
    )
    own_operators.register(PACKED_IMAGE, about, inputs=1, relation=_of_packed, attributes=True)
    own_operators.implement(
        PACKED_IMAGE,
        registry.OpPattern.OPAQUE,
        lambda attrs, inputs, _: [_packed(inputs[0], attrs)],
        _as_it_is,
    )
    registry.register_pattern(BLOCKED_CONVOLUTION, registry.OpPattern.OUT_ELEMWISE_FUSABLE)
    registry.register_strategy(BLOCKED_CONVOLUTION, _strategy)


_register()
