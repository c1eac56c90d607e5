# SPDX-License-Identifier: Apache-2.0
"""A small network compiled for this machine, untuned."""

import pytest

from mnc.compile.codegen import network
from mnc.compile.codegen.network import Built
from mnc.targets import load
from tests.compile.export.networks import two_heads


@pytest.fixture(scope="session")
def two_heads_built() -> Built:
    """Compiled once a test session."""
    return network.build(two_heads(), load("host"))
