# SPDX-License-Identifier: Apache-2.0
"""Images of every kind become the right array, or one clear error."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from mnc.model.preprocess import Preprocess, load_image, normalise
from mnc.support.errors import UserError

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


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255  # the top row
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the top comes to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    x = load_image(tmp_path / "a.png", PLAIN)[0, 0]
    assert x[:, 7].min() == 255 and x[:, 0].max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_is_read(mode: str, tmp_path: Path) -> None:
    suffix = {"CMYK": "tiff", "YCbCr": "tiff"}.get(mode, "png")
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 40_000, np.uint16))
    else:
        image = Image.new("RGB", (20, 20), "white").convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    value = 40_000 >> 8 if mode == "I;16" else 255
    for settings in (PLAIN, GRAY):
        x = load_image(tmp_path / f"a.{suffix}", settings)
        assert abs(x - value).max() <= 1


def test_transparency_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", PLAIN).min() == 255


def test_a_long_thin_image_takes_no_memory(tmp_path: Path) -> None:
    Image.new("L", (1, 60_000), 9).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", PLAIN).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "truncated", "bomb"])
def test_what_is_no_image_is_a_clear_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if kind == "folder":
        path.mkdir()
    elif kind in ("text", "empty"):
        path.write_text("not an image" if kind == "text" else "")
    elif kind == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "bomb":
        Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(UserError, match=r"a\.png") as caught:
        load_image(path, PLAIN)
    assert "\n" not in str(caught.value)
    words = {"missing": "no image", "folder": "no image", "truncated": "damaged", "bomb": "pixels"}
    assert words.get(kind, "not an image") in str(caught.value)


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
