# SPDX-License-Identifier: Apache-2.0
"""Tells Relay to use our templates for blocked convolutions of floats, on x86 and on ARM.

Relay asks a strategy function per operator and target key; ours answers for what our templates cover and
passes everything else on to TVM's own.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from tvm import topi
from tvm.relay import op as relay_op
from tvm.relay.op.strategy import arm_cpu, generic, x86

from mnc.compile.templates import blocked, convolution_depthwise, depthwise, direct, pooling

_OURS = ContextVar("ours", default=True)
POOLS = (
    "nn.adaptive_avg_pool2d",
    "nn.adaptive_max_pool2d",
    "nn.global_avg_pool2d",
    "nn.global_max_pool2d",
)


def register() -> None:
    """Take the place of the strategies for blocked convolutions."""
    stock = {
        "cpu": (x86.conv2d_NCHWc_strategy_cpu, x86.depthwise_conv2d_NCHWc_strategy_cpu),
        "arm_cpu": (
            arm_cpu.conv2d_NCHWc_strategy_arm_cpu,
            arm_cpu.depthwise_conv2d_NCHWc_strategy_arm_cpu,
        ),
    }
    for key, (convolution, depthwise_convolution) in stock.items():
        generic.conv2d_NCHWc_strategy.register(key, _prefer(_convolution, convolution))
        generic.depthwise_conv2d_NCHWc_strategy.register(
            key, _prefer(_depthwise, depthwise_convolution)
        )
    # TVM's schedules for x86 are those for ARM too.
    otherwise = dict.fromkeys(POOLS, x86.schedule_adaptive_pool_cpu)
    for name, schedule in {**otherwise, "sum": x86.schedule_reduce_cpu}.items():
        strategy = relay_op.get(name).get_attr("FTVMStrategy")
        compute = relay_op.get(name).get_attr("FTVMCompute")
        compute = pooling.in_float32(compute) if "avg" in name else compute
        strategy.register(_maps(compute, schedule), [*stock], True)


def template_of(call: Any) -> Any:
    """The template module that a typed Relay call compiles to, or None."""
    choose = {
        "nn.contrib_conv2d_NCHWc": _convolution,
        "nn.contrib_depthwise_conv2d_NCHWc": _depthwise,
    }.get(call.op.name)
    return choose(call.attrs, [arg.checked_type for arg in call.args]) if choose else None


@contextlib.contextmanager
def stock() -> Iterator[None]:
    """While it lasts, every operator gets TVM's own templates, as a family of TVM's is to have."""
    token = _OURS.set(False)
    try:
        yield
    finally:
        _OURS.reset(token)


def _prefer(template_for: Callable[[Any, Any], Any], stock: Any) -> Any:
    """A strategy that answers with our template where there is one, else with TVM's."""

    def strategy(attrs: Any, inputs: Any, out_type: Any, target: Any) -> Any:
        template = template_for(attrs, inputs) if _OURS.get() else None
        if template is None:
            return stock(attrs, inputs, out_type, target)
        answer = relay_op.OpStrategy()
        answer.add_implementation(
            generic.wrap_compute_conv2d(
                template.compute, need_data_layout=True, need_out_layout=True
            ),
            generic.wrap_topi_schedule(template.schedule),
            name=template.NAME,
        )
        return answer

    return strategy


def _maps(compute: Any, otherwise: Any) -> Any:
    """A strategy for an operator on whole maps that TVM computes and schedules so."""

    def schedule(attrs: Any, outs: Any, target: Any) -> Any:
        if _OURS.get() and pooling.applies(outs):
            with target:
                return pooling.schedule(outs)
        return otherwise(attrs, outs, target)

    def strategy(_attrs: Any, _inputs: Any, _out_type: Any, _target: Any) -> Any:
        answer = relay_op.OpStrategy()
        answer.add_implementation(compute, schedule, name="maps.mnc")
        return answer

    return strategy


def _supported(inputs: Any) -> bool:
    return len({one.dtype for one in inputs}) == 1 and inputs[0].dtype in blocked.FLOATS


def _convolution(attrs: Any, inputs: Any) -> Any:
    if not _supported(inputs):
        return None
    if attrs.groups != 1:
        return direct
    kernel = topi.utils.get_const_tuple(inputs[1].shape)
    strides = topi.utils.get_const_tuple(attrs.strides)
    padding = topi.utils.get_const_tuple(attrs.padding)
    return convolution_depthwise.producer(kernel, strides, padding)


def _depthwise(attrs: Any, inputs: Any) -> Any:
    return depthwise if _supported(inputs) else None
