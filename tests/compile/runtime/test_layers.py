# SPDX-License-Identifier: Apache-2.0
"""What each layer of a network is: by its task where it does one, else by its kernel's name."""

import logging
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from mnc.compile.artifact import writer
from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen import network
from mnc.compile.runtime.layers import Layer, layers_of
from mnc.compile.toolchain.graph import GRAPH
from mnc.model import weights
from mnc.model.zoo import Model
from mnc.support.errors import UserError
from mnc.targets import load
from tests.compile.export.networks import two_heads


class TwoPaddings(nn.Module):
    """Two depthwise convolutions of the same shapes, whose windows begin at other places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(16, 16, 3, groups=16) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 16, 8, 8) to the same."""
        pad = nn.functional.pad
        return self.second(pad(self.first(pad(x, (0, 2, 0, 2))), (2, 0, 2, 0)))  # type: ignore[no-any-return]


def two_paddings() -> Model:
    """The network with random weights."""
    module = TwoPaddings().eval()
    digest = weights.weights_hash(module)
    return Model("two_paddings", module, (1, 16, 8, 8), None, (), "random", digest)


def made(model: Model, folder: Path) -> Artifact:
    """An untuned artifact for this machine."""
    host = load("host")
    return writer.save(network.build(model, host), model, host, folder)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Of two heads."""
    return made(two_heads(), tmp_path_factory.mktemp("layers") / "made")


def test_layers_that_do_tasks_are_what_the_manifest_says(artifact: Artifact) -> None:
    layers = layers_of(artifact)
    tasks = {kernel.key: kernel for kernel in artifact.manifest.kernels}
    done = [layer for layer in layers if layer.key is not None]
    assert {layer.key for layer in done} == set(tasks)
    for layer in done:
        task = tasks[layer.key or ""]
        assert (layer.kind, layer.macs) == (task.kind, task.macs)
    assert "fused" in {layer.kind for layer in done}
    assert {layer.macs for layer in layers if layer.key is None} == {0}


def test_a_fused_layer_s_shape_and_traffic_leave_out_what_stays_in_the_cache(
    artifact: Artifact,
) -> None:
    lanes = load("host").lanes
    chunks = -(-20 // lanes)
    layer = next(layer for layer in layers_of(artifact) if layer.kind == "fused")
    kernel, taps = f"{chunks}x3x3x3x1x{lanes}", f"{chunks}x1x3x3x1x{lanes}"
    output = f"1x{chunks}x16x16x{lanes}"
    assert layer.shape == f"1x3x32x32x1 * {kernel} * {taps} -> {output}"
    channels = chunks * lanes
    assert layer.traffic == 4 * (3 * 32 * 32 + channels * (27 + 9 + 16 * 16))


def test_tasks_of_the_same_shapes_are_told_apart(tmp_path: Path) -> None:
    artifact = made(two_paddings(), tmp_path / "made")
    layers = [layer for layer in layers_of(artifact) if layer.key is not None]
    assert [layer.kind for layer in layers] == ["depthwise"] * 2
    assert layers[0].shape == layers[1].shape and layers[0].key != layers[1].key


def test_an_artifact_from_before_tasks_were_written_down_is_read_by_names_and_says_so(
    artifact: Artifact, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = msgspec.json.decode((artifact.folder / GRAPH).read_bytes())
    del older["tasks"]
    (tmp_path / GRAPH).write_bytes(msgspec.json.encode(older))
    by_task = layers_of(artifact)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, logger="mnc"):
        by_name = layers_of(Artifact(tmp_path, artifact.manifest, artifact.labels))
    assert "build it again" in caplog.text and len(caplog.records) == 1
    assert [one.shape for one in by_name] == [one.shape for one in by_task]
    for name, task in zip(by_name, by_task, strict=True):
        assert name.key is None and name.kind in (task.kind, "dense")  # by name, every head is
        assert name.macs == (0 if task.kind == "fused" else task.macs)


def test_an_artifact_without_a_graph_is_one_clear_line(artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no graph\.json .*build it again"):
        layers_of(Artifact(tmp_path, artifact.manifest, ()))


def test_rates() -> None:
    layer = Layer("a", "pointwise", "", macs=10**6, seconds=1e-3, peak_gflops=8.0)
    assert layer.gflops == pytest.approx(2.0)
    assert layer.peak_share == pytest.approx(0.25)
    assert Layer("a", "pool", "", macs=0).peak_share is None
