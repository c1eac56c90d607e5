# SPDX-License-Identifier: Apache-2.0
"""Environment variables of this process that hold for a while: libraries read them when they like."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Set them meanwhile; afterwards they are what they were, unset where they were not set."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
