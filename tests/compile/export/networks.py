# SPDX-License-Identifier: Apache-2.0
"""Small networks with every kind of layer, compiled for any target, as artifacts that can be exported."""

import dataclasses
import shutil
from pathlib import Path

import torch
from torch import nn

from mnc.compile.artifact import store, writer
from mnc.compile.artifact.store import Artifact
from mnc.compile.codegen import kernel_object, network
from mnc.model import weights
from mnc.model.examples import noise
from mnc.model.half_precision.conversion import in_half
from mnc.model.preprocess import Preprocess
from mnc.model.quantization.post_training import quantize
from mnc.model.zoo import Model
from mnc.targets import Target

SHAPE, CLASSES = (1, 3, 32, 32), 7


class TwoHeads(nn.Module):
    """MobileNet's layers once each, channels that are no whole vectors, and a second output by way of
    libm's exp. With 48 channels at 16x16 a layer is large enough to be worth several threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 20, 3, stride=2, padding=1),
            nn.ReLU6(),
            nn.Conv2d(20, 20, 3, padding=1, groups=20),
            nn.ReLU6(),
            nn.Conv2d(20, 48, 1),
            nn.ReLU6(),
            nn.Conv2d(48, 48, 1),
            nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(48, CLASSES)
        self.gate = nn.Linear(48, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, 3, 32, 32) to logits (1, 7) and probabilities (1, 3)."""
        features = self.body(x)
        return self.head(features), torch.sigmoid(self.gate(features))


def two_heads(seed: int = 0) -> Model:
    """The network with random weights."""
    torch.manual_seed(seed)
    module = TwoHeads().eval()
    return Model(
        name=f"two_heads_{seed}",
        network=module,
        input_shape=SHAPE,
        preprocess=None,
        labels=tuple(f'class "{i}" */ \\' for i in range(CLASSES)),
        weights="random",
        weights_hash=weights.weights_hash(module),
    )


def in_integers(model: Model) -> Model:
    """The network in 8 bits, of pixels."""
    pixels = Preprocess(size=32, resize=32, mean=(127.5,) * 3, scale=(1 / 127.5, 1 / 64, 1 / 127.5))
    images = [torch.from_numpy(one) for one in noise(SHAPE, 8)]
    return quantize(dataclasses.replace(model, preprocess=pixels), images).model


def in_halves(model: Model) -> Model:
    """The network in half precision."""
    return in_half(model, [torch.from_numpy(one) for one in noise(SHAPE, 8)])


def make_artifact(model: Model, target: Target, folder: Path) -> Artifact:
    """`model` compiled for `target`, untuned, with what export needs."""
    built = network.build(model, target)
    plain = writer.save(built, model, target, folder / "plain")

    def write(path: Path) -> None:
        shutil.copy(plain.library, path)
        kernel_object.write(built.factory, path.parent, keys=built.keys)

    made = folder / model.name
    store.save(made, plain.manifest, library=write, golden=plain.golden(), labels=plain.labels)
    return store.load(made)
