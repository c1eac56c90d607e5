# SPDX-License-Identifier: Apache-2.0
"""What every test has: golden texts, and Ctrl-C that ends what it starts, however it was started itself."""

import os
import signal

import pytest

import mnc  # noqa: F401 - that triton may be loaded after TVM; see there
from tests.golden import OPTION, Golden

# A shell ignores SIGINT for what it runs in the background, and a process hands that on to those it starts:
# tests that interrupt a process would wait for it for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A build on a CPU that no log knows would try kernels first: for tests that are of something else, too long.
os.environ.setdefault("MNC_QUICK_TUNE", "0")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flag that writes golden texts anew."""
    parser.addoption(OPTION, action="store_true", help="Write the golden texts of the tests anew.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Heavy files first: one that is begun last has a core to itself at the end, and the other core waits."""
    items.sort(key=lambda item: item.get_closest_marker("heavy") is None)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden texts beside the test that asks."""
    return Golden(request.path.parent / "golden", bool(request.config.getoption(OPTION)))
