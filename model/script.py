# SPDX-License-Identifier: Apache-2.0
"""A TorchScript network as an ordinary module, so that tracing sees plain calls without branches.

Takes a ScriptModule (scripted or traced); gives an `nn.Module` that runs its frozen graph node by
node. Scripted graphs hold type checks and branches that no importer of ours reads; replayed under
`torch.jit.trace` only the operators that ran are left, BN folded, and others in the place of those that
the importer lacks (`decompositions`).
"""

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mnc.model import composites
from mnc.model.composites import COMPOSITES
from mnc.model.decompositions import DECOMPOSITIONS
from mnc.model.inputs import arguments_of
from mnc.model.quantization import operators
from mnc.model.trace_constants import shape_of

# Freezing leaves the attributes that an operator of unknown effects reads, such as quantized weights.
KNOWN = ("prim::Constant", "prim::GetAttr")
# What gives weights on a grid.
ROUNDING = (
    "aten::fake_quantize_per_tensor_affine",
    "aten::fake_quantize_per_channel_affine",
    "aten::fused_moving_avg_obs_fake_quant",
    "quantized_decomposed::dequantize_per_tensor",
    "quantized_decomposed::dequantize_per_channel",
)
UNPACKING = ("prim::ListUnpack", "prim::TupleUnpack")  # of one part too


def _tensor(data: Any, dtype: Any = None, *_: Any) -> Tensor:
    """Of numbers; TorchScript writes a type as a number too."""
    made = torch.tensor(data)
    return made if dtype is None else torch.ops.aten.to.dtype(made, dtype)


def _slice(items: Any, *where: Any) -> Any:
    """Of a list, or of a tensor along an axis."""
    if isinstance(items, Tensor):
        return torch.ops.aten.slice.Tensor(items, *where)
    return items[slice(*where)]


def _appended(items: list[Any], one: Any) -> list[Any]:
    items.append(one)
    return items


# Of a tensor, the last of its device.
PROPERTIES = (
    "dtype device layout requires_grad is_cuda is_nested is_quantized is_sparse is_meta type"
).split()
PRIM: dict[str, Callable[..., Any]] = {
    "prim::ListConstruct": lambda *items: list(items),
    "prim::TupleConstruct": lambda *items: items,
    "prim::DictConstruct": lambda *items: dict(zip(items[::2], items[1::2], strict=True)),
    "prim::ListUnpack": tuple,
    "prim::TupleUnpack": tuple,
    "prim::TupleIndex": operator.getitem,
    **{f"prim::{name}": operator.attrgetter(name) for name in PROPERTIES},
    "prim::NumToTensor": torch.tensor,
    "prim::Uninitialized": lambda: None,
    "prim::unchecked_cast": lambda value: value,
    "prim::min": min,
    "prim::max": max,
    "aten::__is__": operator.is_,
    "aten::__isnot__": operator.is_not,
    "aten::__not__": operator.not_,
    "aten::__getitem__": operator.getitem,
    "aten::len": len,
    "aten::size": lambda x, *dim: shape_of(x)[dim[0]] if dim else shape_of(x),
    "aten::slice": _slice,
    "aten::format": str.format,
    "aten::str": str,
    "aten::dict": dict,
    "aten::list": list,
    "aten::dim": lambda x: x.dim(),
    "aten::_set_item": operator.setitem,
    "aten::append": _appended,
    "aten::keys": lambda items: list(items.keys()),
    "aten::values": lambda items: list(items.values()),
    "aten::items": lambda items: list(items.items()),
    "aten::__contains__": operator.contains,
    operators.HELD: lambda value: value,
    "aten::tensor": _tensor,
}

LISTS = {"aten::mul": operator.mul, "aten::add": operator.add}  # as Python has it, too


class Replay(nn.Module):
    """Runs the graph of a ScriptModule in eval mode, BN folded.

    NotImplementedError, when it runs, for constructs that it does not know.
    """

    def __init__(self, module: torch.jit.ScriptModule) -> None:
        super().__init__()
        _hold(module)
        # Freezing inlines every call and settles branches on attributes. Its optimizations fold a BN into a
        # dense layer over rows of vectors too, where the two are of other axes: we take but this one.
        frozen = torch.jit.freeze(module.eval(), optimize_numerics=False)
        torch._C._jit_pass_fold_frozen_conv_bn(frozen.graph)
        self._defaults = tuple(one.default_value for one in arguments_of(module))
        # Tracing copies submodules and must not see this one, so that it sits in a tuple.
        self._program = (frozen,)
        graph = frozen.graph
        self._constants: dict[str, Any] = {next(graph.inputs()).debugName(): self._program}
        self._adopt(graph.nodes())
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:
        """What the ScriptModule gives for `inputs`."""
        graph = self._program[0].graph
        _, *taken = graph.inputs()
        given = (*inputs, *self._defaults[len(inputs) :])
        values = {one.debugName(): value for one, value in zip(taken, given, strict=True)}
        self._run(graph.nodes(), values)
        outputs = [self._read(value, values) for value in graph.outputs()]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def branches(self) -> list[str]:
        """Where the network takes one way or another that freezing has not settled: "file:line"."""
        nodes = self._program[0].graph.findAllNodes("prim::If", recurse=True)
        found = (re.search(r'File "([^"]+)", line (\d+)', node.sourceRange()) for node in nodes)
        return [f"{one[1]}:{one[2]}" if one else "a branch" for one in found]

    def _adopt(self, nodes: Iterable[Any]) -> None:
        """Keep constants; tensors as buffers, so that a trace names them instead of copying."""
        for node in nodes:
            if node.kind() in KNOWN:
                value = self._known(node)
                name = node.output().debugName()
                safe = f"constant_{len(self._constants)}"
                if isinstance(value, Tensor):
                    self.register_buffer(safe, value.detach().clone())
                    self._constants[name] = safe
                elif type(value) is torch.ScriptObject:  # weights that are packed already
                    setattr(self, safe, value)
                    self._constants[name] = safe
                else:
                    self._constants[name] = (value,)
            for block in node.blocks():
                self._adopt(block.nodes())

    def _known(self, node: Any) -> Any:
        if node.kind() == "prim::Constant":
            return node.output().toIValue()
        (owner,) = self._constants[node.input().debugName()]
        return getattr(owner, node.s("name"))

    def _read(self, value: Any, values: dict[str, Any]) -> Any:
        name = value.debugName()
        if name in values:
            return values[name]
        constant = self._constants[name]
        return getattr(self, constant) if isinstance(constant, str) else constant[0]

    def _run(self, nodes: Iterable[Any], values: dict[str, Any]) -> None:
        for node in nodes:
            if node.kind() in KNOWN:
                continue
            inputs = [self._read(value, values) for value in node.inputs()]
            if node.kind() == "prim::If":
                results = self._branch(node, inputs[0], values)
            elif node.kind() == "prim::Loop":
                results = self._loop(node, inputs, values)
            elif node.kind() == "prim::RaiseException":
                raise RuntimeError(str(inputs[0]))
            else:
                result = _call(node, inputs)
                one = node.outputsSize() == 1 and node.kind() not in UNPACKING
                results = [result] if one else list(result or ())
            for output, value in zip(node.outputs(), results, strict=True):
                values[output.debugName()] = value

    def _branch(self, node: Any, condition: Any, values: dict[str, Any]) -> list[Any]:
        block = list(node.blocks())[0 if condition else 1]
        self._run(block.nodes(), values)
        return [self._read(value, values) for value in block.outputs()]

    def _loop(self, node: Any, inputs: list[Any], values: dict[str, Any]) -> list[Any]:
        """Each turn on its own, as often as the sizes and lists at hand ask for."""
        (block,) = node.blocks()
        turn, *names = (value.debugName() for value in block.inputs())
        most, goes_on, *carried = inputs
        for count in range(int(most)):
            if not goes_on:
                break
            values.update(zip((turn, *names), (count, *carried), strict=True))
            self._run(block.nodes(), values)
            goes_on, *carried = (self._read(value, values) for value in block.outputs())
        return carried


def _hold(module: torch.jit.ScriptModule) -> None:
    """Keep freezing from working out what constant weights are rounded to: their scales would be lost."""
    inner: list[Any] = [one._c for one in module.modules()]
    graphs = [one._get_method(name).graph for one in inner for name in one._method_names()]
    for graph in graphs:
        for node in (one for kind in ROUNDING for one in graph.findAllNodes(kind, recurse=True)):
            value = next(node.inputs())
            held = graph.create(operators.HELD, [value])
            held.output().setType(value.type())
            held.insertBefore(node)
            node.replaceInput(0, held.output())


def _call(node: Any, inputs: list[Any]) -> Any:
    """Run one operator."""
    kind = node.kind()
    if kind in PRIM:
        return PRIM[kind](*inputs)
    if kind in LISTS and isinstance(inputs[0], list):
        return LISTS[kind](*inputs)
    if kind in DECOMPOSITIONS:
        made = DECOMPOSITIONS[kind](*inputs)
        if made is not NotImplemented:
            return made
    operation, positional, keywords = operator_of(node, inputs)
    if kind in COMPOSITES:
        return composites.taken_apart(operation, positional, keywords)
    return operation(*positional, **keywords)


def operator_of(node: Any, inputs: list[Any]) -> tuple[Any, list[Any], dict[str, Any]]:
    """The operator that a node calls, its positional arguments and those by name: by its schema, as
    TorchScript chose the overload and knows keyword-only. NotImplementedError for what is no operator.
    """
    kind = node.kind()
    space, _, name = kind.partition("::")
    if space == "prim" or node.schema() == "(no schema)":
        raise NotImplementedError(f"the TorchScript construct {kind}")
    schema = torch._C.parse_schema(node.schema())
    function = getattr(getattr(torch.ops, space), name)
    overload = getattr(function, schema.overload_name or "default")
    arguments = list(zip(schema.arguments, inputs, strict=True))
    positional = [value for argument, value in arguments if not argument.kwarg_only]
    keywords = {argument.name: value for argument, value in arguments if argument.kwarg_only}
    return overload, positional, keywords
