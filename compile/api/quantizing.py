# SPDX-License-Identifier: Apache-2.0
"""What quantizing a network does to it: ranges, saturation, and what each layer costs."""

from dataclasses import replace
from typing import TYPE_CHECKING

from mnc.compile.api.named import ModelSpec, as_model
from mnc.support.errors import UserError

if TYPE_CHECKING:
    from mnc.model.quantization.report import Report


def quantize(model: str | ModelSpec) -> "Report":
    """Quantize `model` to 8-bit integers, as `build` with precision "int8" does, and say what that did.
    UserError for a network that is quantized already.
    """
    spec = ModelSpec(model) if isinstance(model, str) else model
    report = as_model(replace(spec, precision="int8")).quantization
    if report is None:
        raise UserError(f"{spec.spec} is quantized already and keeps its own scales")
    return report
