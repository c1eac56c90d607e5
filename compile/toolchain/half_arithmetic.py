# SPDX-License-Identifier: Apache-2.0
"""Which targets' cores compute in half precision, by the instructions that LLVM may use on them.

Takes a `Target`; gives a yes, or what the target has instead and which targets do. Imports tvm.
"""

from mnc import targets
from mnc.compile.toolchain import cpu_features
from mnc.support.errors import UserError
from mnc.targets import Target
from mnc.targets.host_file import OtherArchitectureError

FEATURE = "fullfp16"  # of AArch64, ARMv8.2-FP16; Linux calls it asimdhp


def has(target: Target) -> bool:
    """Whether the cores multiply and add halves."""
    return FEATURE in _features(target)


def check(target: Target) -> None:
    """UserError for a target that computes in float32 alone."""
    if has(target):
        return
    able = ", ".join(name for name in targets.names() if _is_able(name))
    raise UserError(
        f"target {target.name} has no arithmetic in half precision ({FEATURE}): {_instead(target)}; "
        f"targets that have it: {able}"
    )


def _instead(target: Target) -> str:
    """What there is for people with this target."""
    found = _features(target)
    if target.arch == "x86_64":
        vectors = ", ".join(name for name in found if name.startswith(("f16c", "avx"))) or "sse"
        return f"{target.mcpu} has {vectors}; --weight-storage fp16 halves the file there, at float32 speed"
    features = ", ".join(found) or "no vectors"
    return f"{target.mcpu} has {features}; --precision int8 is what makes it faster"


def _is_able(name: str) -> bool:
    try:
        return has(targets.load(name))
    except OtherArchitectureError:  # a file of the machine that this is not
        return False


def _features(target: Target) -> tuple[str, ...]:
    return cpu_features.required(target.tvm_target(), target.arch)
