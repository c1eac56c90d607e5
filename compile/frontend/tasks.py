# SPDX-License-Identifier: Apache-2.0
"""The tunable operators of a program: what there is to search, and how much of the work each one is.

Takes a `Program` and a `Target`; gives `TunableTask`s, one for each distinct workload. They are read off the
blocked Relay module, where every convolution already names its template and layout;
AutoTVM's own extraction compiles the network to find the same ones.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import tvm
from tvm import autotvm, relay

from mnc.compile.frontend import fusion, integer_fusion, markers, strassen
from mnc.compile.records.trial import task_key
from mnc.compile.templates import (
    blocked,
    integer,
    integer_convolution_depthwise,
    op_strategy,
    pointwise,
)
from mnc.compile.templates.workload import Convolution, Workload, convolutions
from mnc.model.names import Precision
from mnc.support.errors import UserError
from mnc.support.progress import working
from mnc.targets import Target

if TYPE_CHECKING:  # they bring PyTorch, which processes that only compile do without
    from mnc.compile.frontend.importer import Program
    from mnc.model.zoo import Model

Kind = Literal["first conv", "depthwise", "pointwise", "dense", "conv", "fused"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRECISIONS: dict[str, Precision] = {"float32": "float32", "float16": "fp16"}
# What computes the workload of a call of an operator of our own.
OWN_OPERATORS: dict[str, Callable[[Any], Workload]] = {
    fusion.OPERATOR: fusion.workload_of,
    integer_fusion.OPERATOR: integer_fusion.workload_of,
    strassen.OPERATOR: strassen.workload_of,
    markers.BLOCKED_CONVOLUTION: markers.workload_of,
}
SPELLINGS = {"first-conv": "first conv", "first": "first conv", "classifier": "dense"}


@dataclass(frozen=True)
class TunableTask:
    """One workload. `macs` are the multiply-adds of one call, padded channels included; the network
    makes `calls` of them. `key` is what logs know it by.
    """

    task: Any
    kind: Kind
    shape: str
    macs: int
    calls: int
    key: str

    @property
    def precision(self) -> Precision:
        """What its maps are in: all integers are of 8 bits."""
        return PRECISIONS.get(self.task.args[0][2], "int8")

    @property
    def only_in_network(self) -> bool:
        """Whether builds use it only where it was timed within the network, as pairs of integers."""
        return bool(self.task.name == integer_convolution_depthwise.NAME)

    @property
    def flops(self) -> int:
        """Floating point operations of one call: a multiply-add counts two."""
        return 2 * self.macs


def of_model(model: "Model", target: Target) -> tuple[TunableTask, ...]:
    """What there is to search in `model`, as `extract_all` has it."""
    from mnc.compile.frontend import importer

    with working(f"importing {model.name}"):
        return extract_all(importer.import_model(model, target), target)


def extract(program: "Program", target: Target) -> tuple[TunableTask, ...]:
    """Every distinct tunable workload of the program as it stands, in the order the network meets them."""
    tvm_target = tvm.target.Target(target.tvm_target())
    calls: Counter[str] = Counter()
    first: dict[str, Workload] = {}

    def look(node: Any) -> None:
        workload = workload_of(node)
        if workload is not None:
            key = task_key(*workload)
            first.setdefault(key, workload)
            calls[key] += 1

    relay.analysis.post_order_visit(program.mod["main"], look)
    classifier = _classifier(program.mod["main"].body)
    last = task_key(*classifier) if classifier else ""
    return tuple(
        from_workload(*first[key], tvm_target, calls=count, is_classifier=key == last)
        for key, count in calls.items()
    )


def extract_all(program: "Program", target: Target) -> tuple[TunableTask, ...]:
    """What there is to search: the program's workloads, then those of its pairs once they are fused, and of
    its convolutions by Strassen's product.
    """
    apart = extract(program, target)
    known = {task.key for task in apart}
    together = extract(replace(program, mod=fusion.fuse(program.mod)), target)
    by_strassen = _by_strassen(program, target)
    return (*apart, *(task for task in together if task.key not in known), *by_strassen)


def _by_strassen(program: "Program", target: Target) -> tuple[TunableTask, ...]:
    """None for cores in order, whose caches hold too little of what is added up for it to gain."""
    if target.arch != "aarch64" or target.mcpu in blocked.IN_ORDER:
        return ()
    made_for = tvm.target.Target(target.tvm_target())
    calls = Counter(product.workload for product in strassen.products(program.mod))
    return tuple(from_workload(*one, made_for, calls=count) for one, count in calls.items())


def from_workload(
    name: str, args: tuple[Any, ...], target: Any, *, calls: int, is_classifier: bool = False
) -> TunableTask:
    """The task of a template's name and its arguments, as logs and workers name it."""
    parts = convolutions(name, args)
    return TunableTask(
        task=autotvm.task.create(name, args, target=target),
        kind="fused" if len(parts) > 1 else _kind(parts[0], is_classifier=is_classifier),
        shape=" + ".join(part.shape for part in parts),
        macs=sum(part.macs for part in parts),
        calls=calls,
        key=task_key(name, args),
    )


def select(tasks: Sequence[TunableTask], kinds: Sequence[str]) -> tuple[TunableTask, ...]:
    """The tasks of these kinds ("all" is every kind); UserError for a kind that does not exist."""
    wanted = [SPELLINGS.get(kind, kind) for kind in kinds]
    for kind in wanted:
        if kind not in (*KINDS, "all"):
            raise UserError(f"unknown task kind {kind!r}; choose from {', '.join(KINDS)}, all")
    return tuple(task for task in tasks if task.kind in wanted or "all" in wanted)


def workload_of(node: Any) -> Workload | None:
    """The workload of a typed Relay expression, where it is a call that one of our templates implements."""
    if not isinstance(node, relay.Call) or not isinstance(node.op, tvm.ir.Op):
        return None
    if (of_own := OWN_OPERATORS.get(node.op.name)) is not None:
        return of_own(node)
    template = op_strategy.template_of(node)
    if template is None:
        return None
    attrs = node.attrs
    tensors = tuple(("TENSOR", _dims(a), a.checked_type.dtype) for a in node.args)
    numbers = tuple(
        tuple(int(v) for v in values) for values in (attrs.strides, attrs.padding, attrs.dilation)
    )
    layouts = (str(attrs.data_layout), str(attrs.out_layout))
    return template.NAME, (*tensors, *numbers, *layouts, tensors[0][2])


def _dims(node: Any) -> tuple[int, ...]:
    return tuple(int(d) for d in node.checked_type.shape)


def _classifier(body: Any) -> Workload | None:
    """The last workload before the output when it works on one pixel: a dense layer in the blocked layout."""
    found = workload_of(body)
    while found is None and isinstance(body, relay.Call):
        body = body.args[0]
        found = workload_of(body)
    return found if found is not None and found[1][0][1][2:4] == (1, 1) else None


def _kind(part: Convolution, *, is_classifier: bool) -> Kind:
    if part.is_depthwise:
        return "depthwise"
    if part.name in (pointwise.NAME, integer.POINTWISE):
        return "dense" if is_classifier else "pointwise"
    # Only the image is read in blocks of one channel, or, in integers, of a few.
    few = part.data[4] == 1 or (part.dtype not in PRECISIONS and part.data[4] < part.kernel[5])
    return "first conv" if few else "conv"
