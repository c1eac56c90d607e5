# SPDX-License-Identifier: Apache-2.0
"""Which task each kernel of a network does, and what each of its arguments is to it.

Takes what TVM tells of the functions it compiled; gives `KernelTask`s by kernel, which `kernel_object.write`
keeps in the graph.
"""

from collections.abc import Collection, Mapping
from typing import Any

from tvm import relay

from mnc.compile.frontend.tasks import workload_of
from mnc.compile.records.trial import task_key
from mnc.compile.templates.workload import TENSORS, Workload
from mnc.compile.toolchain.graph import KernelTask, Role


def tasks(kernels: Mapping[str, Any], keys: Collection[str]) -> dict[str, KernelTask]:
    """Of the kernels, as TVM's FunctionInfo by name, those that do a task of `keys`. In a family of TVM's a
    kernel may compute what a task of ours does, but is none.
    """
    found = {name: _task(list(info.relay_primfuncs.values())) for name, info in kernels.items()}
    return {name: task for name, task in found.items() if task is not None and task.key in keys}


def _task(functions: list[Any]) -> KernelTask | None:
    """Of a kernel that was compiled from these Relay functions (one, or it is not known)."""
    anchors = [anchor for function in functions for anchor in _anchors(function)]
    if len(functions) != 1 or len(anchors) != 1:
        return None
    ((call, workload),) = anchors
    results = functions[0].ret_type
    count = len(results.fields) if isinstance(results, relay.TupleType) else 1
    result: Role = "output"
    inputs = (_role(parameter, call) for parameter in functions[0].params)
    return KernelTask(task_key(*workload), (*inputs, *[result] * count))


def _anchors(function: Any) -> list[tuple[Any, Workload]]:
    """The calls within that one of our templates implements, with their workloads."""
    found: list[tuple[Any, Workload]] = []

    def look(node: Any) -> None:
        workload = workload_of(node)
        if workload is not None:
            found.append((node, workload))

    relay.analysis.post_order_visit(function.body, look)
    return found


def _role(parameter: Any, call: Any) -> Role:
    """The operator's arguments are in the order of the workload's tensors."""
    pairs = zip(TENSORS, call.args, strict=False)
    return next((role for role, argument in pairs if argument.same_as(parameter)), "other")
