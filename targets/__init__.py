# SPDX-License-Identifier: Apache-2.0
"""What is compiled for: one TOML a device, and the code that reads them."""

from targets.catalog import Row, load, names, rows
from targets.pipeline import Pipeline, pipeline_of
from targets.target import Cache, CoreClass, Memory, Target

__all__ = [
    "Cache",
    "CoreClass",
    "Memory",
    "Pipeline",
    "Row",
    "Target",
    "load",
    "names",
    "pipeline_of",
    "rows",
]
