# SPDX-License-Identifier: Apache-2.0
"""The operator that rounds a float32 map to int32, ties to even, by the CPU's instruction for just that.

Takes values below 2**31; of larger ones and NaN it gives any integer. Relay's own `round` takes ties away
from zero, and TVM's `nearbyint` is not vectorized.
"""

from typing import Any

from tvm import relay, te, tir
from tvm.relay.op import op as registry

NAME = "mnc.nearest"


def nearest(value: Any) -> Any:
    """The nearest integers of a float32 expression."""
    return relay.Call(relay.op.get(NAME), [value])


def _type(args: Any, _: Any) -> Any:
    (first, *_rest) = args
    return relay.TensorType(first.shape, "int32") if isinstance(first, relay.TensorType) else None


def _compute(_: Any, inputs: Any, __: Any) -> list[Any]:
    (data,) = inputs

    def one(*at: Any) -> Any:
        operands = tir.const(1, "uint32")
        return tir.call_llvm_pure_intrin("int32", "llvm.lrint", operands, data[at])

    return [te.compute(data.shape, one, name="nearest", tag="elemwise")]


def _register() -> None:
    registry.register(NAME, "The nearest integers, ties to even.")
    operator = relay.op.get(NAME)
    operator.set_num_inputs(1)
    operator.add_type_rel(NAME, _type)
    registry.register_pattern(NAME, registry.OpPattern.ELEMWISE)
    registry.register_compute(NAME, _compute)
    registry.register_injective_schedule(NAME)


_register()
