# SPDX-License-Identifier: Apache-2.0
"""A network, however it comes, as one form that quantization reads: an fx graph of ATen calls.

Takes a `Model`; gives a `GraphModule` without BN, without writes in place, its constants worked out, each
node with the `name` of the layer that it is and the `shape` of its value in `meta`.
"""

import hashlib
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from mnc.model import prepare, script
from mnc.model.quantization import converted, decomposed, fake_quantized, kinds
from mnc.model.quantization.translation import Call, Rule
from mnc.model.zoo import Model
from mnc.support import error_text
from mnc.support.errors import UserError

NOTHING_DONE = {  # that give their first argument, at inference
    "aten::dropout",
    "aten::feature_dropout",
    "aten::alpha_dropout",
    "aten::contiguous",
    "aten::detach",
    "aten::clone",
    "aten::alias",
    "aten::lift_fresh",
}
# Operators of networks that are quantized already, which become our markers.
RULES: dict[str, Rule] = {**fake_quantized.RULES, **converted.RULES, **decomposed.RULES}
UNKNOWN = {"quantized", "quantized_decomposed", "torchao"}  # but for those of RULES
LAYERS = {
    "_convolution": "conv",
    "convolution": "conv",
    "conv2d": "conv",
}  # as they are called here


def graph_of(model: Model) -> fx.GraphModule:
    """The model's network. UserError for one that cannot be traced, or whose trace holds what is no plain
    operator, such as a loop.
    """
    try:
        traced = prepare.trace(model)
        with torch.no_grad():
            reader = _Reader(traced, prepare.example_inputs(model), _names(model.module))
            return reader.module()
    except (NotImplementedError, RuntimeError, TypeError) as error:
        reason = error_text.of_exception(error)
        raise UserError(
            f"{model.name} cannot be read layer by layer: {reason}; write it with plain operators in its "
            "forward(), or build it in float32"
        ) from error


def constant(module: nn.Module, node: object) -> Tensor:
    """What a get_attr node stands for."""
    found: Tensor = getattr(module, str(getattr(node, "target", "")))
    return found


def _names(module: nn.Module) -> dict[bytes, str]:
    """What a network calls its layers, by their weights: a trace keeps no names."""
    state = prepare.fold_batch_norm(module).state_dict()
    return {
        _key(tensor): name.removesuffix(".weight")
        for name, tensor in state.items()
        if name.endswith(".weight") and isinstance(tensor, Tensor) and not tensor.is_quantized
    }


def _key(tensor: Tensor) -> bytes:
    plain = tensor.detach().contiguous()
    return hashlib.sha256(plain.reshape(-1).view(torch.uint8).numpy().tobytes()).digest()


class _Reader:
    """Reads a trace node by node, and runs it: what does not depend on the inputs is a constant."""

    def __init__(
        self,
        traced: torch.jit.ScriptModule,
        examples: tuple[Tensor, ...],
        names: dict[bytes, str],
    ) -> None:
        self._layers = names
        self._graph, self._root = fx.Graph(), nn.Module()
        self._nodes: dict[str, Any] = {}  # of values that depend on the inputs
        self._constants: dict[str, fx.Node] = {}
        self._values: dict[str, Any] = {}
        self._taken: dict[str, int] = {}  # names, and how often
        source = traced.inlined_graph
        module, *inputs = source.inputs()
        self._values[module.debugName()] = traced
        for one, example in zip(inputs, examples, strict=True):
            self._values[one.debugName()] = example
            name = self._unique("input")
            made = self._graph.placeholder(name)
            self._nodes[one.debugName()] = _with_meta(made, name, example)
        for node in source.nodes():
            self._read(node)
        outputs = tuple(self._argument(one) for one in source.outputs())
        self._graph.output(outputs[0] if len(outputs) == 1 else outputs)

    def module(self) -> fx.GraphModule:
        self._graph.eliminate_dead_code(
            is_impure_node=lambda node: node.op in {"placeholder", "output"}
        )
        self._graph.lint()
        return fx.GraphModule(self._root, self._graph)

    def _read(self, node: Any) -> None:
        kind, inputs = node.kind(), list(node.inputs())
        given = [self._values.get(one.debugName()) for one in inputs]
        variable = any(one.debugName() in self._nodes for one in inputs)
        outputs = [one.debugName() for one in node.outputs()]
        if kind in script.KNOWN:
            known = node.output().toIValue() if not inputs else getattr(given[0], node.s("name"))
            self._values[outputs[0]] = known
        elif kind in {"prim::ListConstruct", "prim::TupleConstruct"}:
            self._values[outputs[0]] = given
            if variable:
                made = [self._argument(one) for one in inputs]
                self._nodes[outputs[0]] = made if "List" in kind else tuple(made)
        elif kind in {"prim::ListUnpack", "prim::TupleUnpack"}:
            self._unpack(inputs[0].debugName(), outputs)
        elif kind in NOTHING_DONE and variable:
            self._values[outputs[0]] = given[0]
            self._nodes[outputs[0]] = self._nodes[inputs[0].debugName()]
        elif kind in script.PRIM:
            self._values[outputs[0]] = script.PRIM[kind](*given)
        else:
            self._call(node, given, variable)

    def _unpack(self, source: str, outputs: list[str]) -> None:
        whole = self._nodes.get(source)
        for place, (name, one) in enumerate(zip(outputs, self._values[source], strict=True)):
            self._values[name] = one
            if isinstance(whole, list | tuple):
                part = whole[place]
            elif whole is not None:
                part = self._graph.call_function(operator.getitem, (whole, place))
                _with_meta(part, f"{whole.meta['name']}.{place}", one)
            else:
                continue
            if isinstance(part, fx.Node):
                self._nodes[name] = part

    def _call(self, node: Any, given: list[Any], variable: bool) -> None:
        """Run an operator, and put it into the graph where it depends on the inputs or is a marker."""
        target, values, named = script.operator_of(node, given)
        result = _functional(target)(*values, **named)
        outputs = [one.debugName() for one in node.outputs()]
        whole = outputs[0] if len(outputs) == 1 else f"{outputs[0]} and others"
        self._values[whole] = result
        if node.kind() in RULES:
            self._translate(node, Call(node.kind(), given, result, self._reader(node), variable))
        elif (variable or target.namespace == "mnc") and _holds_tensors(result):
            if target.namespace in UNKNOWN:
                raise NotImplementedError(f"it has {node.kind()}, which has no form in our 8 bits")
            arguments = [self._argument(one) for one in node.inputs()]
            target, positional, keywords = script.operator_of(node, arguments)
            target = _functional(target)
            made = self._graph.call_function(target, tuple(positional), keywords)
            _with_meta(made, self._name(target, positional), result)
            self._nodes[whole] = converted.of_result(self, made, result)
        if len(outputs) > 1 and node.kind() not in RULES:
            self._unpack(whole, outputs)

    def _reader(self, node: Any) -> Callable[[int], Any]:
        """What gives an argument of `node` by its place."""
        arguments = list(node.inputs())
        return lambda place: self._argument(arguments[place])

    def _translate(self, node: Any, call: Call) -> None:
        """By a rule; of operators with several results the first counts, the others are masks."""
        first = next(node.outputs()).debugName()
        result = call.result[0] if isinstance(call.result, tuple) else call.result
        self._values[first] = result
        if (made := RULES[node.kind()](self, replace(call, result=result))) is not None:
            self._nodes[first] = made

    def call(self, target: Any, *args: Any, like: Tensor) -> fx.Node:
        """A call that no node of the trace is."""
        made = self._graph.call_function(target, args)
        return _with_meta(made, self._name(target, list(args)), like)

    def constant(self, tensor: Tensor) -> fx.Node:
        """A tensor that no node of the trace is."""
        return self._constant(f"of {len(self._constants)}", tensor)

    def _name(self, target: Any, given: list[Any]) -> str:
        """A layer's is that of its weights in the network; a clamp of its output goes by it."""
        kind = str(target._schema.name).partition("::")[2]
        weight = given[1] if len(given) > 1 else None
        if isinstance(weight, fx.Node) and weight.op == "get_attr":
            known = self._layers.get(_key(self._root.get_buffer(str(weight.target))))
            if known:
                return self._unique(known)
        source = given[0] if given else None
        if kinds.bounds_of(kind, given[1:]) and isinstance(source, fx.Node):
            return self._unique(f"{source.meta['name']}.{kind}")
        return self._unique(LAYERS.get(kind, kind))

    def _unique(self, name: str) -> str:
        count = self._taken[name] = self._taken.get(name, -1) + 1
        return f"{name}_{count}" if count else name

    def _argument(self, value: Any) -> Any:
        """What an fx call takes for a value of the trace: a node, or the constant itself."""
        name = value.debugName()
        if name in self._nodes:
            return self._nodes[name]
        known = self._values[name]
        if isinstance(known, Tensor):
            return self._constant(name, known.dequantize() if known.is_quantized else known)
        return known

    def _constant(self, name: str, tensor: Tensor) -> fx.Node:
        if name not in self._constants:
            attribute = f"constant_{len(self._constants)}"
            self._root.register_buffer(attribute, tensor.detach().clone())
            node = self._graph.create_node("get_attr", attribute)
            self._constants[name] = _with_meta(node, attribute, tensor)
        return self._constants[name]


def _functional(target: Any) -> Any:
    """The operator that gives what this one writes in place."""
    space, _, name = target._schema.name.partition("::")
    if not name.endswith("_") or name.endswith("__"):
        return target
    return getattr(getattr(getattr(torch.ops, space), name[:-1]), target._overloadname)


def _holds_tensors(result: Any) -> bool:
    parts = result if isinstance(result, list | tuple) else [result]
    return any(isinstance(one, Tensor) for one in parts)


def _with_meta(node: fx.Node, name: str, result: Any) -> fx.Node:
    node.meta["name"] = name
    node.meta["shape"] = tuple(result.shape) if isinstance(result, Tensor) else ()
    return node
