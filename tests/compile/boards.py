# SPDX-License-Identifier: Apache-2.0
"""A tracker and virtual boards of one's own: real processes, AArch64 all the way down."""

from collections.abc import Iterator

import pytest

from mnc.compile.rpc import board as boards
from mnc.compile.rpc import tracker as trackers
from mnc.compile.rpc.board import Board
from mnc.compile.rpc.tracker import Tracker
from mnc.targets import Target, load

FIRST_PORT = 9290  # out of the way of a tracker that someone uses


@pytest.fixture(scope="session")
def arm() -> Target:
    return load("arm")


@pytest.fixture
def tracker() -> Iterator[Tracker]:
    with trackers.start_tracker(port=FIRST_PORT) as one:
        yield one


@pytest.fixture
def board(arm: Target, tracker: Tracker) -> Iterator[Board]:
    with boards.start_board(arm, tracker=tracker.address, cores=2) as one:
        yield one
