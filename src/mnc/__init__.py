# SPDX-License-Identifier: Apache-2.0
"""mnc, the MobileNet compiler: `from mnc import tune, build, load`; docs/api.md shows them at work.

The packages are links to the top-level folders of the checkout; a wheel holds copies of them.
"""

import logging
from typing import TYPE_CHECKING, Any

from mnc.support import triton_loading

triton_loading.keep_its_symbols()

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
