# SPDX-License-Identifier: Apache-2.0
"""How each core executes: the files of targets/pipelines, one a core, which devices share.

Takes a `CoreClass`; gives a `Pipeline`: its own table, else its `cpu`'s file, else that of a generic core.
"""

import functools
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from mnc.targets.pipeline import Pipeline
from mnc.targets.target import CoreClass

FOLDER = Path(__file__).parent / "pipelines"


def pipeline_of(core: CoreClass) -> Pipeline:
    """How `core` executes. What no file describes is taken for the nearest generic core."""
    if core.pipeline is not None:
        return core.pipeline
    if (FOLDER / f"{core.cpu}.toml").is_file():
        return _read(core.cpu)
    return _read(generic_name(core))


def generic_name(core: CoreClass) -> str:
    """The file an undescribed core is taken for: by its order, vectors and multiply-adds a cycle."""
    if core.in_order:
        return "cortex-a53"
    if core.vector_bits > 256:
        return "icelake-server"
    if core.vector_bits > 128:
        return "skylake"
    return "cortex-a72" if core.fma_units < 2 else "cortex-a76"


@functools.cache
def _read(name: str) -> Pipeline:
    return msgspec.convert(_table(name), Pipeline)


def _table(name: str) -> dict[str, Any]:
    """The file's tables; what it does not say is as in the core it is the `same_as`."""
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
    same = data.pop("same_as", None)
    if same is None:
        return data
    base = _table(same)
    merged = {
        table: {**base.get(table, {}), **data.pop(table, {})}
        for table in ("operations", "integers")
    }
    return {**base, **data, **merged}
