# SPDX-License-Identifier: Apache-2.0
"""What is compiled for: one TOML a device, and the code that reads them."""

from targets.catalog import Row, load, names, rows
from targets.target import Cache, CoreClass, Memory, Target

__all__ = ["Cache", "CoreClass", "Memory", "Row", "Target", "load", "names", "rows"]
