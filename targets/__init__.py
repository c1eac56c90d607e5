# SPDX-License-Identifier: Apache-2.0
"""What is compiled for: one TOML a device, and the code that reads them."""

from mnc.targets.catalog import HOST, TargetRow, load, names, rows
from mnc.targets.core_catalog import pipeline_of
from mnc.targets.pipeline import Pipeline
from mnc.targets.target import Cache, CoreClass, Memory, Target

__all__ = [
    "HOST",
    "Cache",
    "CoreClass",
    "Memory",
    "Pipeline",
    "Target",
    "TargetRow",
    "load",
    "names",
    "pipeline_of",
    "rows",
]
