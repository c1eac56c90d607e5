# SPDX-License-Identifier: Apache-2.0
"""How an operator of our own is told to Relay: its name, its inputs, its type and its kernel."""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import relay
from tvm.relay.op import op as registry


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
