# SPDX-License-Identifier: Apache-2.0
"""Crops of photographs that no network is calibrated with: what a network in integers is judged on.

Takes a `Preprocess`; gives arrays as the network takes them.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnc.model import images as files
from mnc.model.photos import imagenet, photographs
from mnc.model.preprocess import Preprocess, normalise

# Squares: their corner as shares of what they leave free, their side of the shorter one, mirrored or not.
SQUARES = (
    (0.5, 0.5, 1.0, False), (0.5, 0.5, 1.0, True), (0.0, 0.0, 0.8, False), (1.0, 0.0, 0.8, True),
    (0.0, 1.0, 0.8, True), (1.0, 1.0, 0.8, False), (0.5, 0.5, 0.7, False), (0.5, 0.5, 0.6, True),
)  # fmt: skip


def crops(preprocess: Preprocess) -> NDArray[np.float32]:
    """(N, C, H, W): `SQUARES` of each of 25 photographs of ImageNet's classes. UserError when they cannot be
    fetched.
    """
    paths = [*(path for path, _ in photographs()), *imagenet()]
    gray = preprocess.channels == "gray"
    pixels = [
        cut(files.read(path, gray=gray, side=preprocess.resize), preprocess.size, *square)
        for path in paths
        for square in SQUARES
    ]
    return np.concatenate([normalise(one[None], preprocess) for one in pixels])


def cut(
    image: Image.Image, size: int, left: float, top: float, share: float, mirror: bool
) -> NDArray[np.uint8]:
    """A square of an image in `size` by `size` pixels."""
    side = min(image.size) * share
    x, y = left * (image.width - side), top * (image.height - side)
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))
    pixels = np.asarray(square, np.uint8)
    return np.ascontiguousarray(pixels[:, ::-1]) if mirror else pixels
