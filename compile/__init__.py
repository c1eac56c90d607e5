# SPDX-License-Identifier: Apache-2.0
"""How a network becomes a tuned, verified library: one module a stage.

`from compile import tune, build, load` is the Python API, imported when first asked for.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compile.api import build, load, tune

# Before tvm is imported anywhere: TopHub would be downloaded at the first build; offline that is two
# time-outs, and on ARM an error that nothing catches.
os.environ["TOPHUB_LOCATION"] = "NONE"

__all__ = ["build", "load", "tune"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from compile import api

    return getattr(api, name)
