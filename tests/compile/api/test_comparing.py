# SPDX-License-Identifier: Apache-2.0
"""An artifact beside PyTorch, by the API."""

from mnc.compile import api
from mnc.compile.artifact.store import Artifact
from mnc.model.zoo import Model
from tests.compile.conftest import SHAPE, Tiny


def of(tiny: Tiny) -> Model:
    """The tiny network, as somebody's model."""
    return Model("tiny", tiny.module, SHAPE, None, (), "random", tiny.manifest.network.weights_hash)


def test_the_given_model_is_what_pytorch_runs(tiny: Tiny, tiny_artifact: Artifact) -> None:
    report = api.verify(tiny_artifact, threads=1, model=of(tiny))
    assert [check.against for check in report.checks] == ["golden outputs", "PyTorch"]
    assert report.ok and not report.note


def test_what_is_not_of_the_zoo_is_compared_with_its_golden_outputs(
    tiny_artifact: Artifact,
) -> None:
    report = api.verify(tiny_artifact.folder)
    assert [check.against for check in report.checks] == ["golden outputs"]
    assert "tiny cannot be rebuilt here" in report.note
