# SPDX-License-Identifier: Apache-2.0
"""From an image file to the array that a network takes."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from mnc.model.preprocess import Preprocess, load_image, normalise

PLAIN = Preprocess(size=8, resize=8, mean=(0.0,) * 3, scale=(1.0,) * 3)
GRAY = Preprocess(size=8, resize=8, mean=(0.0,), scale=(1.0,), channels="gray")


def test_shape_type_and_scale(tmp_path: Path) -> None:
    Image.new("RGB", (50, 30), (255, 0, 127)).save(tmp_path / "a.png")
    settings = Preprocess(size=8, resize=10, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)
    x = load_image(tmp_path / "a.png", settings)
    assert x.shape == (1, 3, 8, 8)
    assert x.dtype == np.float32
    assert np.allclose(x[0, :, 4, 4], [1, -1, -0.5 / 127.5])


def test_centre_crop_and_squash(tmp_path: Path) -> None:
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[:, 16:32] = 255  # the middle third
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", PLAIN).min() > 200
    squashed = load_image(tmp_path / "a.png", msgspec.structs.replace(PLAIN, crop="squash"))
    assert squashed[0, 0, 4, 0] == 0 and squashed[0, 0, 4, 4] > 240
    wide = load_image(tmp_path / "a.png", PLAIN, (8, 16))
    assert wide.shape == (1, 3, 8, 16) and wide[0, 0, 4, 0] == 0 and wide[0, 0, 4, 8] > 240


def test_a_long_thin_image_takes_no_memory(tmp_path: Path) -> None:
    Image.new("L", (1, 60_000), 9).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", PLAIN).shape == (1, 3, 8, 8)


def test_a_manifest_can_carry_it() -> None:
    data = msgspec.json.encode(GRAY)
    assert msgspec.json.decode(data, type=Preprocess) == GRAY
    for wrong in (b'{"size": 8}', data.replace(b'"size":8', b'"size":0'), data[:-1] + b',"x":1}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=Preprocess)


def test_pixel_arrays() -> None:
    pixels = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)
    assert np.array_equal(normalise(pixels, GRAY)[:, 0], pixels)
    assert normalise(np.zeros((2, 8, 8, 3), np.uint8), PLAIN).shape == (2, 3, 8, 8)
