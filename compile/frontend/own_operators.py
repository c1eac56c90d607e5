# SPDX-License-Identifier: Apache-2.0
"""How an operator of our own is told to Relay: its name, its inputs and its type."""

from collections.abc import Callable
from typing import Any

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
