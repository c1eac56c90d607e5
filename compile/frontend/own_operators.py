# SPDX-License-Identifier: Apache-2.0
"""How an operator of our own is told to Relay: its name, its inputs, its type and its kernel."""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relay
from tvm.relay.op import op as registry

from mnc.compile.templates import blocked


def register(
    name: str,
    about: str,
    *,
    inputs: int,
    relation: Callable[[Any, Any], Any],
    attributes: bool = False,
) -> None:
    """`relation` gives the type of the result from the inputs' types and the attributes, None while they are
    not known. Calls carry a dictionary of `attributes`, or nothing.
    """
    registry.register(name, about)
    operator = relay.op.get(name)
    operator.set_num_inputs(inputs)
    if attributes:
        operator.set_attrs_type_key("DictAttrs")
    operator.add_type_rel(name, relation)


def implement(name: str, pattern: int, compute: Any, schedule: Any) -> None:
    """The one way that a registered operator is done on every target, and the `OpPattern` by which others
    join it: `compute` of attributes, inputs and type, `schedule` of attributes, outputs and target.
    """

    def strategy(attrs: Any, inputs: Any, out_type: Any, target: Any) -> Any:
        answer = registry.OpStrategy()
        answer.add_implementation(compute, schedule, name=name)
        return answer

    as_generic = tvm.target.override_native_generic_func(f"{name.replace('.', '_')}_strategy")
    registry.register_pattern(name, pattern)
    registry.register_strategy(name, as_generic(strategy))


def convolved(size: Any, weights: Any, strides: Any, padding: Any) -> list[int]:
    """Rows and columns of a convolution of a map of that size, by `weights` whose axes 2 and 3 are the taps;
    `padding` is (top, left, bottom, right).
    """
    top, left, bottom, right = (int(pad) for pad in padding)
    return [
        blocked.output_size(int(extent), int(taps), int(stride), before, after)
        for extent, taps, stride, before, after in zip(
            size, weights.shape[2:4], strides, (top, left), (bottom, right), strict=True
        )
    ]
