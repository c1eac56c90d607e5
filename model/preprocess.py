# SPDX-License-Identifier: Apache-2.0
"""From an image file to the array a network takes; numpy and Pillow only, as artifacts use it.

Takes a path (or uint8 pixels) and a `Preprocess`, which a manifest can carry; gives float32
(N, C, size, size).
"""

import warnings
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mnc.support.errors import UserError


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
        if not 0 < self.size <= self.resize <= 1 << 14:
            raise ValueError("preprocess: 0 < size <= resize <= 16384 must hold")
        if len(self.mean) != wanted or len(self.scale) != wanted:
            raise ValueError(f"preprocess: mean and scale need {wanted} value(s)")


def load_image(path: Path, preprocess: Preprocess) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The image as float32 (1, C, size, size), turned as its EXIF orientation says.

    UserError for a file that is missing, not an image, truncated or too large to be decoded safely.
    """
    return normalise(_pixels(path, preprocess)[None], preprocess)


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


def _pixels(path: Path, preprocess: Preprocess) -> np.ndarray[Any, np.dtype[np.uint8]]:
    if not path.is_file():
        raise UserError(f"no image file at {path}; check the path")
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice its limit; for us both are too large.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                image = ImageOps.exif_transpose(file)
                plain = _plain(image, "RGB" if preprocess.channels == "rgb" else "L")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f"{path} has too many pixels to decode safely; scale it down first"
        ) from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image; give a JPEG, PNG or other photograph") from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except Exception as error:  # a damaged file makes a decoder raise nearly anything
        raise UserError(f"{path} is damaged or cut short ({error}); give a whole image") from error
    square = plain.resize(
        (preprocess.size, preprocess.size), Image.Resampling.BILINEAR, box=_box(plain, preprocess)
    )
    return np.asarray(square, np.uint8)


def _plain(image: Image.Image, mode: Literal["RGB", "L"]) -> Image.Image:
    """8-bit pixels without alpha: transparency over white, 16-bit grey scaled down."""
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        shift = 8 if deep.max(initial=0) > 255 else 0
        image = Image.fromarray(np.clip(deep >> shift, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _box(image: Image.Image, preprocess: Preprocess) -> tuple[float, float, float, float]:
    """The part of the image that is kept: a central square. Taking it before scaling gives what
    scaling and then cropping would, and a long thin image cannot fill the memory.
    """
    width, height = image.size
    if preprocess.crop == "squash":
        return 0, 0, width, height
    side = min(width, height) * preprocess.size / preprocess.resize
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side
