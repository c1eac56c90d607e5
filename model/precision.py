# SPDX-License-Identifier: Apache-2.0
"""Networks in half, bf16 or double as networks in float32, which is what is compiled.

Takes a module; gives it with its weights, its constants and the casts within it in float32.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn

_OTHERS = (
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
# How TorchScript writes types: numbers of their own.
_NUMBERS = (5, 15, 7, 24, 23)
_FLOAT32 = 6


def in_float32(module: nn.Module) -> nn.Module:
    """`module`, changed: of a factory's, whose casts are Python code, the weights alone."""
    if isinstance(module, torch.jit.ScriptModule):
        for one in module.modules():
            inner: Any = one._c
            for name in inner._method_names():
                _change_script(inner._get_method(name).graph)
    if isinstance(module, fx.GraphModule):
        _change_calls(module)
    return module.float()


def _change_script(graph: Any) -> None:
    for node in graph.findAllNodes("prim::Constant", recurse=True):
        if (
            node.hasAttribute("value")
            and node.kindOf("value") == "t"
            and _is_other(node.t("value"))
        ):
            node.t_("value", node.t("value").float())
    for node in _calls(graph):
        for place, argument in enumerate(torch._C.parse_schema(node.schema()).arguments):
            if argument.name == "dtype" and node.inputsAt(place).toIValue() in _NUMBERS:
                node.replaceInput(place, _number(graph, node))


def _calls(block: Any) -> Any:
    """The nodes, those of branches too, that have a schema."""
    for node in block.nodes():
        if node.kind().startswith("aten::") and node.schema() != "(no schema)":
            yield node
        for inner in node.blocks():
            yield from _calls(inner)


def _number(graph: Any, before: Any) -> Any:
    """A new constant, as one that is there may be a size as well."""
    constant = graph.create("prim::Constant")
    constant.i_("value", _FLOAT32)
    constant.output().setType(torch._C.IntType.get())
    constant.insertBefore(before)
    return constant.output()


def _change_calls(module: fx.GraphModule) -> None:
    """Of an exported program."""
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
        elif node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            holder = module.get_submodule(owner)
            value = getattr(holder, name)
            if (
                isinstance(value, Tensor)
                and not isinstance(value, nn.Parameter)
                and _is_other(value)
            ):
                setattr(holder, name, value.float())
        elif isinstance(node.target, torch._ops.OpOverload):
            node.args = tuple(torch.float32 if one in _OTHERS else one for one in node.args)
            if node.kwargs.get("dtype") in _OTHERS:
                node.update_kwarg("dtype", torch.float32)
    module.recompile()


def _is_other(tensor: Tensor) -> bool:
    return tensor.dtype in _OTHERS
