# SPDX-License-Identifier: Apache-2.0
"""Inputs to compare a network on: real photographs or garments where it was made for them.

Takes a `Model`; gives arrays of its input's shape, and what they are. Nothing here imports torch.
"""

import numpy as np
from numpy.typing import NDArray

from mnc.model import datasets
from mnc.model.photos import photographs
from mnc.model.preprocess import Preprocess, load_image, normalise
from mnc.support.errors import UserError

Floats = NDArray[np.float32]
NOISE = 4


def examples(
    input_shape: tuple[int, ...], preprocess: Preprocess | None, *, seed: int = 0
) -> tuple[Floats, str]:
    """(examples, N, C, H, W), and in words what they are: photographs for a network that takes colour
    images, Fashion-MNIST's first test images for one of gray 28x28, seeded noise for any other, and where
    the real ones cannot be fetched.
    """
    images: list[Floats] = []
    origin, reason = "", ""
    try:
        if preprocess is not None and preprocess.channels == "rgb":
            images = [load_image(path, preprocess) for path, _ in photographs()]
            origin = "photographs"
        elif preprocess is not None and input_shape[1:] == (1, 28, 28):
            test = datasets.fashion_mnist().test_images[:8]
            images = list(normalise(test, preprocess)[:, None])
            origin = "Fashion-MNIST test images"
    except UserError as error:
        reason = f" (real images could not be had: {error})"
    images = [image for image in images if image.shape[1:] == tuple(input_shape[1:])]
    if not images:
        return noise(input_shape, NOISE, seed=seed), f"seeded noise{reason}"
    return _batches(images, input_shape[0]), origin


def noise(input_shape: tuple[int, ...], count: int, *, seed: int = 0) -> Floats:
    """That many examples of values in -1..1, the same for each seed."""
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (count, *input_shape)).astype(np.float32)


def _batches(images: list[Floats], batch: int) -> Floats:
    """One example an image; a batch takes the images that follow it as well."""
    repeated = [
        np.concatenate([images[(first + i) % len(images)] for i in range(batch)])
        for first in range(len(images))
    ]
    return np.stack(repeated).astype(np.float32)
