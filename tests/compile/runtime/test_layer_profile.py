# SPDX-License-Identifier: Apache-2.0
"""Profiles: every kernel once, in order, with the right amount of work."""

import pytest

from mnc.compile.artifact.store import Artifact
from mnc.compile.runtime import layer_profile
from mnc.compile.runtime.layer_profile import Profile
from mnc.compile.runtime.session import Session
from tests.compile.conftest import CLASSES


@pytest.fixture
def measured(tiny_artifact: Artifact) -> Profile:
    """A profile of the tiny network."""
    session = Session(tiny_artifact, threads=1)
    return layer_profile.profile(session, runs=3, peak_gflops=100.0)


def test_layers_have_their_kinds_and_multiply_adds(measured: Profile) -> None:
    work = {layer.kind: layer.macs for layer in measured.layers if layer.macs}
    assert work == {
        "first conv": 8 * 8 * 8 * 3 * 9,
        "depthwise": 8 * 8 * 8 * 9,
        "pointwise": 8 * 8 * 16 * 8,
        "dense": 16 * CLASSES,
    }
    kinds = [layer.kind for layer in measured.layers]
    assert [kind for kind in kinds if kind in work] == list(work)
    assert "pool" in kinds


def test_times_add_up(measured: Profile) -> None:
    assert all(layer.seconds > 0 for layer in measured.layers)
    assert measured.seconds == pytest.approx(sum(layer.seconds for layer in measured.layers))
    moving = [layer.seconds for layer in measured.layers if "layout_transform" in layer.name]
    assert moving
    assert measured.transform_share == pytest.approx(sum(moving) / measured.seconds)


def test_the_network_still_runs_after_a_profile(tiny_artifact: Artifact) -> None:
    session = Session(tiny_artifact, threads=1)
    x = tiny_artifact.golden().inputs[0][0]
    before = session.run(x)[0]
    layer_profile.profile(session, x, runs=1)
    assert (session.run(x)[0] == before).all()
