# SPDX-License-Identifier: Apache-2.0
"""A network laid out for a family of kernels, and the TVM target that makes TVM use the family's."""

from typing import Any

from mnc.compile.records.family_choice import BLOCKED


def in_layout(mod: Any, family: str, block: int) -> Any:
    """The Relay module in the family's layout."""
    if family == BLOCKED:
        from mnc.compile.frontend import layout

        return layout.to_blocked(mod, block)
    if family == "nhwc":
        from tvm import relay, transform

        wanted = {"nn.conv2d": ["NHWC", "default"]}
        return transform.Sequential(
            [relay.transform.ConvertLayout(wanted), relay.transform.FoldConstant()]
        )(mod)
    return mod


def tvm_target(target: Any, family: str) -> str:
    """The TVM target string; x86-style templates on ARM are had by not saying arm_cpu."""
    text = str(target.tvm_target())
    if family != "nchwc":
        return text
    return text.replace("-keys=arm_cpu,cpu", "-keys=cpu").replace(" -device=arm_cpu", "")
