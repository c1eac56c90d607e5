# SPDX-License-Identifier: Apache-2.0
"""Images of every kind are read as they look, or refused in one line."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnc.model import images
from mnc.support.errors import UserError

RAMP = np.linspace(0, 1, 256).reshape(16, 16)


def read(path: Path, *, gray: bool = False) -> np.ndarray:
    image = images.read(path, gray=gray, side=8)
    assert image.mode == ("L" if gray else "RGB")
    return np.asarray(image).astype(int)


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        images.read(path, gray=False, side=8)
    said = str(caught.value)
    assert said.startswith(str(path)) or str(path) in said
    assert "\n" not in said
    return said


def png(path: Path, *, width: int, height: int, channels: int, rows: bytes) -> None:
    """A colour PNG of 16 bits a channel, which Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def png16(path: Path, pixels: np.ndarray) -> None:
    """`pixels` (H, W, 3 or 4) as they are."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    png(path, width=width, height=height, channels=channels, rows=rows)


MODES = {
    "png": "1 L P LA RGB RGBA",
    "tif": "1 L P PA LA RGB RGBA CMYK YCbCr",
    "jpg": "1 L RGB CMYK YCbCr",
    "webp": "1 L P LA RGB RGBA CMYK YCbCr",
    "gif": "1 L P LA RGB RGBA",
    "bmp": "1 L P RGB RGBA",
    "ppm": "1 L RGB RGBA",
}


@pytest.mark.parametrize("suffix", MODES)
def test_every_mode_of_every_format_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    for mode in MODES[suffix].split():
        Image.new("RGB", (20, 20), "white").convert(mode).save(path)
        assert read(path).min() >= 254 and read(path, gray=True).min() >= 254


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_gray_of_16_bits_is_read_by_its_range(bits: int, suffix: str, tmp_path: Path) -> None:
    Image.fromarray((RAMP * (2**bits - 1)).astype(np.uint16)).save(tmp_path / f"a.{suffix}")
    assert abs(read(tmp_path / f"a.{suffix}", gray=True) - 255 * RAMP).max() <= 1


def test_floats_of_0_to_1_and_small_whole_numbers_are_read(tmp_path: Path) -> None:
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "f.tif")
    Image.fromarray((RAMP * 1023).astype(np.int32)).save(tmp_path / "i.tif")
    for name in ("f.tif", "i.tif"):
        assert abs(read(tmp_path / name)[..., 2] - 255 * RAMP).max() <= 1


@pytest.mark.parametrize("value", [2.0, -1.0, np.nan, np.inf])
def test_floats_of_no_known_range_are_refused(value: float, tmp_path: Path) -> None:
    floats = RAMP.astype(np.float32)
    floats[3, 4] = value
    Image.fromarray(floats).save(tmp_path / "a.tif")
    assert "not 0 to 1; save it with 8 bits" in refused(tmp_path / "a.tif")


@pytest.mark.parametrize("value", [70_000, -1])
def test_whole_numbers_of_no_known_range_are_refused(value: int, tmp_path: Path) -> None:
    numbers = (RAMP * 255).astype(np.int32)
    numbers[3, 4] = value
    Image.fromarray(numbers).save(tmp_path / "a.tif")
    assert "not 0 to 65535; save it with 8 bits" in refused(tmp_path / "a.tif")


def test_deep_gray_whose_white_is_zero_is_refused(tmp_path: Path) -> None:
    """Pillow reads it as if black were."""
    gray = Image.fromarray((RAMP * 65535).astype(np.uint16))
    gray.save(tmp_path / "a.tif", tiffinfo={images.PHOTOMETRIC: images.WHITE_IS_ZERO})
    assert "inverted" in refused(tmp_path / "a.tif")


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_read_and_of_fewer_in_16_refused(
    channels: int, tmp_path: Path
) -> None:
    """Pillow keeps the upper half of each channel: of 12 bits nothing to see would be left."""
    colours = np.repeat(RAMP[..., None], channels, axis=2)
    colours[..., 3:] = 1
    png16(tmp_path / "16.png", colours * 65535)
    assert abs(read(tmp_path / "16.png")[..., 1] - 255 * RAMP).max() <= 1
    for bits in (10, 12, 14):
        colours[..., :3] = RAMP[..., None] * (2**bits - 1) / 65535
        png16(tmp_path / "less.png", colours * 65535)
        assert "14 bits or fewer in 16" in refused(tmp_path / "less.png")


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_dark_image_of_8_bits_is_taken_for_what_it_is(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (533, 4), (9, 9, 9)).save(
        tmp_path / f"a.{suffix}"
    )  # a BMP's rows are of 1600 bytes
    assert (read(tmp_path / f"a.{suffix}") == 9).all()


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "gif"])
def test_transparency_is_white(suffix: str, tmp_path: Path) -> None:
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / f"a.{suffix}")
    assert read(tmp_path / f"a.{suffix}").min() == 255
    if suffix == "png":  # a colour that is transparent
        Image.new("RGB", (9, 9), (1, 2, 3)).save(tmp_path / "b.png", transparency=(1, 2, 3))
        assert read(tmp_path / "b.png").min() == 255


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_exif_orientation_is_followed(suffix: str, tmp_path: Path) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8] = 255  # the upper half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: the top comes to the right
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif)
    x = read(tmp_path / f"a.{suffix}", gray=True)
    assert x.shape == (32, 16)
    assert x[:, 12:].min() > 250 and x[:, :4].max() < 5


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "gif"])
def test_of_several_frames_the_first_is_read(suffix: str, tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (9, 9), colour) for colour in ("white", "black"))
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    assert read(tmp_path / f"a.{suffix}").min() >= 254


def test_no_program_is_started_for_postscript(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {mark}\n", encoding="utf-8")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert shutil.which("gs") == str(tmp_path / "gs")
    head = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n"
    for name in ("x.eps", "x.png"):
        (tmp_path / name).write_text(head, encoding="utf-8")
        assert "JPEG, PNG, WebP, TIFF, BMP, GIF" in refused(tmp_path / name)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["ico", "jp2", "tga", "pdf", "pcx"])
def test_other_formats_are_refused(suffix: str, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(tmp_path / f"a.{suffix}")
    assert "is not an image that is read (JPEG, PNG" in refused(tmp_path / f"a.{suffix}")


def test_a_large_jpeg_is_decoded_at_a_fraction(tmp_path: Path) -> None:
    large = Image.linear_gradient("L").resize((6000, 4800), Image.Resampling.NEAREST)
    large.save(tmp_path / "a.jpg")
    small = images.read(tmp_path / "a.jpg", gray=True, side=200)
    assert small.size == (1500, 1200)
    assert abs(np.asarray(small).astype(int) - np.asarray(large.resize(small.size))).max() <= 3


def test_other_large_images_are_refused_by_their_header(tmp_path: Path) -> None:
    png(tmp_path / "a.png", width=12_000, height=9_000, channels=3, rows=b"")
    assert "12000 x 9000 pixels, which take 432 MB to decode" in refused(tmp_path / "a.png")
    png(tmp_path / "a.png", width=20_000, height=20_000, channels=3, rows=b"")
    assert "more than 179 megapixels" in refused(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "truncated"])
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
    words = {"missing": "no image", "folder": "no image", "truncated": "damaged"}
    assert words.get(kind, "not an image") in refused(path)


def test_what_libtiff_only_prints_is_damage(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (40, 40), np.uint8) * 255
    path = tmp_path / "a.tif"
    Image.fromarray(pixels).convert("1").save(path, compression="group4")
    good, said = path.read_bytes(), []
    for at in range(20, 60):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
        try:
            images.read(path, gray=True, side=8)
        except UserError as error:
            said.append(str(error))
    assert any("Fax4Decode" in error for error in said)
    assert capfd.readouterr().err == ""
