# SPDX-License-Identifier: Apache-2.0
"""The tunable operators of a program: what there is to search, and how much of the work each one is.

Takes a `Program` and a `Target`; gives `TunableTask`s, one for each distinct workload. They are read off the
blocked Relay module, where every convolution already names its template and layout;
AutoTVM's own extraction compiles the network to find the same ones.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import tvm
from tvm import autotvm, relay

from compile.importer import Program
from compile.templates import depthwise, pointwise, strategy
from compile.trial import task_key
from support.errors import UserError
from targets import Target

Kind = Literal["first conv", "depthwise", "pointwise", "dense", "conv"]
KINDS: tuple[Kind, ...] = get_args(Kind)
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
    def flops(self) -> int:
        """Floating point operations of one call: a multiply-add counts two."""
        return 2 * self.macs


def extract(program: Program, target: Target) -> tuple[TunableTask, ...]:
    """Every distinct tunable workload of the program, in the order the network meets them."""
    tvm_target = tvm.target.Target(target.tvm_target())
    calls: Counter[tuple[str, tuple[Any, ...]]] = Counter()
    relay.analysis.post_order_visit(
        program.mod["main"], lambda node: calls.update(_workloads(node))
    )
    last = _classifier(program.mod["main"].body)
    return tuple(
        from_workload(*workload, tvm_target, calls=count, is_classifier=[workload] == last)
        for workload, count in calls.items()
    )


def from_workload(
    name: str, args: tuple[Any, ...], target: Any, *, calls: int, is_classifier: bool = False
) -> TunableTask:
    """The task of a template's name and its arguments, as logs and workers name it."""
    data, kernel = args[0][1], args[1][1]
    output = output_size(data, kernel, args[2], args[3])
    return TunableTask(
        task=autotvm.task.create(name, args, target=target),
        kind=_kind(name, data, is_classifier=is_classifier),
        shape=_shape(name, data, kernel, output, args[2]),
        macs=_multiply_adds(name, data, kernel, output),
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


def _workloads(node: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """The workload of a Relay call that one of our templates implements, in a list, or nothing."""
    if not isinstance(node, relay.Call) or not isinstance(node.op, tvm.ir.Op):
        return []
    template = strategy.template_of(node)
    if template is None:
        return []
    attrs = node.attrs
    tensors = tuple(("TENSOR", _dims(a), a.checked_type.dtype) for a in node.args)
    numbers = tuple(
        tuple(int(v) for v in values) for values in (attrs.strides, attrs.padding, attrs.dilation)
    )
    layouts = (str(attrs.data_layout), str(attrs.out_layout))
    return [(template.NAME, (*tensors, *numbers, *layouts, "float32"))]


def _dims(node: Any) -> tuple[int, ...]:
    return tuple(int(d) for d in node.checked_type.shape)


def output_size(
    data: Sequence[int], kernel: Sequence[int], strides: Sequence[int], padding: Sequence[int]
) -> tuple[int, int]:
    """Height and width of a convolution's output; `padding` is (top, left, bottom, right)."""
    (top, left, bottom, right), (kernel_h, kernel_w) = padding, kernel[2:4]
    height = (data[2] + top + bottom - kernel_h) // strides[0] + 1
    return height, (data[3] + left + right - kernel_w) // strides[1] + 1


def _classifier(body: Any) -> list[tuple[str, tuple[Any, ...]]]:
    """The last workload before the output when it works on one pixel: a dense layer in the blocked layout."""
    while isinstance(body, relay.Call) and not _workloads(body):
        body = body.args[0]
    found = _workloads(body)
    return found if found and found[0][1][0][1][2:4] == (1, 1) else []


def _kind(name: str, data: Sequence[int], *, is_classifier: bool) -> Kind:
    if name == depthwise.NAME:
        return "depthwise"
    if name == pointwise.NAME:
        return "dense" if is_classifier else "pointwise"
    # Only the image is read in blocks of one channel.
    return "first conv" if data[4] == 1 else "conv"


def _multiply_adds(
    name: str, data: Sequence[int], kernel: Sequence[int], output: tuple[int, int]
) -> int:
    out_channels, taps = kernel[0] * kernel[5], kernel[2] * kernel[3]
    in_channels = 1 if name == depthwise.NAME else data[1] * data[4]
    return int(data[0] * output[0] * output[1] * out_channels * in_channels * taps)


def _shape(
    name: str,
    data: Sequence[int],
    kernel: Sequence[int],
    output: tuple[int, int],
    strides: Sequence[int],
) -> str:
    """Such as "32->64 112x112" or "64 3x3/2 112x112->56x56"; a batch above 1 comes first."""
    batch = f"{data[0]}x " if data[0] > 1 else ""
    channels = f"{kernel[0] * kernel[5]}"
    if name != depthwise.NAME:
        channels = f"{data[1] * data[4]}->{channels}"
    size = f"{data[2]}x{data[3]}"
    if (output[0], output[1]) != (data[2], data[3]):
        size += f"->{output[0]}x{output[1]}"
    if name == pointwise.NAME:
        return f"{batch}{channels} {size}"
    return f"{batch}{channels} {kernel[2]}x{kernel[3]}/{strides[0]} {size}"
