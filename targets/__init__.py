# SPDX-License-Identifier: Apache-2.0
"""What is compiled for: one TOML a device, and the code that reads them."""

from mnc.targets.catalog import TargetRow, is_this_machine, load, names, rows, this_machine
from mnc.targets.core_catalog import pipeline_of
from mnc.targets.host_file import HOST
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
    "is_this_machine",
    "load",
    "names",
    "pipeline_of",
    "rows",
    "this_machine",
]
