# SPDX-License-Identifier: Apache-2.0
"""mnc, the MobileNet compiler: `from mnc import tune, build, load`; docs/api.md shows them at work.

The packages are links to the top-level folders of the checkout; a wheel holds copies of them.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

# triton, which PyPI's torch brings along, registers the same LLVM options as TVM does: loaded second, it ends
# the process, and torch.export and torch.compile load it where they find it. None makes it absent; whoever
# needs it beside mnc imports it first, which is harmless, and then it stays.
sys.modules.setdefault("triton", None)  # type: ignore[arg-type]

if TYPE_CHECKING:
    from mnc.compile.api import build, load, tune

# Who wants to see what mnc logs configures logging; the command line does.
logging.getLogger(__name__).addHandler(logging.NullHandler())

__all__ = ["build", "load", "tune"]


def __getattr__(name: str) -> Any:
    """The API's functions, imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mnc.compile import api

    return getattr(api, name)
