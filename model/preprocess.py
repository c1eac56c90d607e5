# SPDX-License-Identifier: Apache-2.0
"""From an image file to the array a network takes; numpy and Pillow only, as artifacts use it.

Takes a path (or uint8 pixels) and a `Preprocess`, which a manifest can carry; gives float32
(N, C, H, W), square where nothing else is asked for.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from PIL import Image

from mnc.model import images

LARGEST_SIDE = 1 << 14  # pixels


class Preprocess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pixels become inputs: shorter side to `resize`, centre crop to `size`, then per channel
    ``(x - mean) * scale`` with x in 0..255. `crop="squash"` scales both sides to `size` instead.
    `resize` and `size` are pixels; `mean` and `scale` have one value a channel.
    """

    size: int
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    resize: int
    crop: Literal["center", "squash"] = "center"
    channels: Literal["rgb", "gray"] = "rgb"

    def __post_init__(self) -> None:
        """ValueError for sizes or counts that cannot be; reading a manifest with them fails."""
        wanted = 3 if self.channels == "rgb" else 1
        if not 0 < self.size <= self.resize <= LARGEST_SIDE:
            raise ValueError(f"preprocess: 0 < size <= resize <= {LARGEST_SIDE} must hold")
        if len(self.mean) != wanted or len(self.scale) != wanted:
            raise ValueError(f"preprocess: mean and scale need {wanted} value(s)")


def load_image(
    path: Path, preprocess: Preprocess, extent: tuple[int, int] | None = None
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The image as float32 (1, C, size, size), or in an `extent` of (H, W) whose shorter side is `size`;
    turned as its EXIF orientation says.

    UserError for a file that `images.read` does not read.
    """
    height, width = extent or (preprocess.size, preprocess.size)
    side = preprocess.resize * max(height, width) // preprocess.size
    image = images.read(path, gray=preprocess.channels == "gray", side=side)
    box = _box(image, preprocess, height, width)
    fitted = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return normalise(np.asarray(fitted, np.uint8)[None], preprocess)


def normalise(
    pixels: np.ndarray[Any, np.dtype[np.uint8]], preprocess: Preprocess
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """uint8 pixels (N, H, W) or (N, H, W, C) to float32 (N, C, H, W); sizes are not changed."""
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    mean = np.asarray(preprocess.mean, np.float32)
    scale = np.asarray(preprocess.scale, np.float32)
    scaled = (pixels.astype(np.float32) - mean) * scale
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _box(
    image: Image.Image, preprocess: Preprocess, height: int, width: int
) -> tuple[float, float, float, float]:
    """The part of the image that is kept: of its middle, in the shape of `height` and `width`. Taking it
    before scaling gives what scaling and then cropping would, and a long thin image cannot fill the memory.
    """
    whole = image.size
    if preprocess.crop == "squash":
        return 0, 0, *whole
    pixels = min(whole[0] / width, whole[1] / height) * preprocess.size / preprocess.resize
    left, top = (whole[0] - width * pixels) / 2, (whole[1] - height * pixels) / 2
    return left, top, left + width * pixels, top + height * pixels
