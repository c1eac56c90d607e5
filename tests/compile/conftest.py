# SPDX-License-Identifier: Apache-2.0
"""A tiny network, really compiled: each kind of MobileNet layer once. And the fixtures of `boards`."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm import relay

from mnc.compile.artifact import provenance, store
from mnc.compile.artifact.manifest import Manifest, Network, Platform, Tensor
from mnc.compile.artifact.store import Artifact, Golden
from mnc.compile.codegen import kernel_object
from mnc.compile.toolchain import cpu_features, pass_context
from mnc.model import weights
from mnc.targets import catalog
from tests.compile.boards import arm, board, tracker

__all__ = ["arm", "board", "tracker"]

torch.set_num_threads(1)
SHAPE, CLASSES = (1, 3, 16, 16), 7


class TinyNet(nn.Module):
    """Every kind of MobileNet layer once."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.ReLU6(),
            nn.Conv2d(8, 16, 1),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, CLASSES),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, 16, 16) to logits (1, 7)."""
        return self.layers(x)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Tiny:
    """The network in PyTorch, what `relay.build` made of it, and what a manifest says of it."""

    module: nn.Module
    library: Any
    manifest: Manifest
    golden: Golden

    def save(self, folder: Path) -> Artifact:
        """A fresh artifact of it."""
        labels = [f"class {i}" for i in range(CLASSES)]
        return store.save(
            folder, self.manifest, library=self.write, golden=self.golden, labels=labels
        )

    def write(self, path: Path) -> None:
        """The library, written to `path`, and its kernels and graph beside it; they do no tasks of ours."""
        self.library.export_library(str(path))
        kernel_object.write(self.library, path.parent, keys=())

    def reference(self, x: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """PyTorch's outputs."""
        with torch.no_grad():
            return (self.module(torch.from_numpy(x)).numpy(),)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """Compiled once a test session."""
    torch.manual_seed(0)
    module = TinyNet().eval()
    target = catalog.load("host")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # tracing is, in favour of what TVM cannot read
        traced = torch.jit.trace(module, torch.zeros(SHAPE))  # type: ignore[no-untyped-call]
    mod, params = relay.frontend.from_pytorch(traced, [("input", SHAPE)])
    with pass_context.pass_context():
        library = relay.build(mod, target=tvm.target.Target(target.tvm_target()), params=params)
    examples = np.random.default_rng(1).standard_normal((4, *SHAPE)).astype(np.float32)
    with torch.no_grad():
        outputs = np.stack([module(torch.from_numpy(x)).numpy() for x in examples])
    manifest = Manifest(
        network=Network(
            name="tiny", spec="tiny", weights="random", weights_hash=weights.weights_hash(module)
        ),
        target=Platform(
            name=target.name,
            description=target.description,
            tvm_target=target.tvm_target(),
            arch="x86_64" if target.arch == "x86_64" else "aarch64",
            features=cpu_features.required(target.tvm_target(), target.arch),
        ),
        versions=provenance.versions(),
        inputs=(Tensor(name="input", shape=SHAPE, layout="NCHW"),),
        outputs=(Tensor(name="output", shape=(1, CLASSES), layout="NC"),),
        source=provenance.source(),
        created="2026-01-01T00:00:00Z",
    )
    return Tiny(module, library, manifest, Golden((examples,), (outputs,)))


@pytest.fixture
def tiny_artifact(tiny: Tiny, tmp_path: Path) -> Artifact:
    """An artifact of one's own, to damage at will."""
    return tiny.save(tmp_path / "tiny")
