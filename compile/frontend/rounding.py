# SPDX-License-Identifier: Apache-2.0
"""Operators of a float32 map that LLVM has and Relay has not.

`nearest` rounds to int32, ties to even, by the CPU's instruction for just that; it gives any integer for NaN
and values from 2**31 on. Relay's own `round` takes ties away from zero, TVM's `nearbyint` is not vectorized.
`unfused` gives values as they are, of which no compiler makes a fused multiply-add, with one rounding less.
"""

from typing import Any

from tvm import relay, te, tir
from tvm.relay.op import op as registry

from mnc.compile.frontend import own_operators

NEAREST, UNFUSED = "mnc.nearest", "mnc.unfused"
NAMES = {NEAREST: ("llvm.lrint", "int32"), UNFUSED: ("llvm.arithmetic.fence", "float32")}


def nearest(value: Any) -> Any:
    """The nearest integers of a float32 expression."""
    return relay.Call(relay.op.get(NEAREST), [value])


def unfused(value: Any) -> Any:
    """A float32 expression that is rounded before anything is added to it."""
    return relay.Call(relay.op.get(UNFUSED), [value])


def _register(name: str, intrinsic: str, dtype: str) -> None:
    def relation(args: Any, _: Any) -> Any:
        first = args[0]
        return relay.TensorType(first.shape, dtype) if isinstance(first, relay.TensorType) else None

    def compute(_: Any, inputs: Any, __: Any) -> list[Any]:
        (data,) = inputs

        def one(*at: Any) -> Any:
            operands = tir.const(1, "uint32")
            return tir.call_llvm_pure_intrin(dtype, intrinsic, operands, data[at])

        return [te.compute(data.shape, one, name=name.split(".")[1], tag="elemwise")]

    about = "Of float32 maps, element by element."
    own_operators.register(name, about, inputs=1, relation=relation)
    registry.register_pattern(name, registry.OpPattern.ELEMWISE)
    registry.register_compute(name, compute)
    registry.register_injective_schedule(name)


for _name, _of in NAMES.items():
    _register(_name, *_of)
