# SPDX-License-Identifier: Apache-2.0
"""mnc, the MobileNet compiler: `from mnc import tune, build, load`; docs/api.md shows them at work.

The packages are links to the top-level folders of the checkout; a wheel holds copies of them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnc.compile.api import build, load, tune

__all__ = ["build", "load", "tune"]


def __getattr__(name: str) -> Any:
    """The API's functions, imported when first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mnc.compile import api

    return getattr(api, name)
