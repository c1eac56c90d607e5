# SPDX-License-Identifier: Apache-2.0
"""The one reader of image files: upright, in 8 bits, over white, or one line that says why not.

Takes a path; gives a Pillow image. Raster formats only, and only those named here: Pillow knows others that
start programs. The header's size is checked before anything is decoded. Of several frames or pages the
first is read; colour profiles are not applied.
"""

import logging
import math
import re
import warnings
from pathlib import Path
from typing import Any, cast

from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from mnc.support import native_stderr
from mnc.support.errors import UserError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
READ = "JPEG, PNG, WebP, TIFF, BMP, GIF and PPM"
MOST_BYTES = 400_000_000  # of decoded pixels: 100 megapixels, or 25 of WebP
BYTES_A_PIXEL = {"WEBP": 16}  # its decoder keeps three frames beside Pillow's; the others fill 4
PLENTY = 24_000_000  # pixels; a JPEG of more is decoded at a fraction of its size
KEPT = 4  # times what is wanted, along each side, is what such a fraction keeps at least
COLOURS = {"1", "L", "P", "RGB", "CMYK", "YCbCr", "LA", "La", "PA", "RGBA", "RGBa"}
DEEP = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}  # gray, of more than 8 bits
RANGES = (0xFF, 0x3FF, 0xFFF, 0x3FFF, 0xFFFF)  # the brightest that 8, 10, 12, 14 and 16 bits hold
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a TIFF's tag, which Pillow does not mind in deep gray
SIXTEEN_BITS = re.compile(";16[BLN]")  # in Pillow's name of a layout; ";16" alone is a BMP's 5-6-5
logging.getLogger("PIL").addHandler(logging.NullHandler())  # it raises what it logs


class _RefusedError(Exception):
    """Why an image that can be decoded is not read."""


def read(path: Path, *, gray: bool, side: int) -> Image.Image:
    """The picture turned as its EXIF orientation says, of mode L or RGB, in its own size; a large JPEG in a
    smaller one, `KEPT * side` pixels at least. UserError for whatever is no such image, damaged or too large.
    """
    if not path.is_file():
        raise UserError(f"no image file at {path}; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of odd metadata
            return _decoded(path, gray=gray, side=side)
    except _RefusedError as error:
        raise UserError(f"{path} {error}") from None
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise UserError(
            f"{path} has more than {most:.0f} megapixels, too many to decode; scale it down first"
        ) from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image that is read ({READ}); convert it") from error
    except PermissionError as error:
        raise UserError(f"cannot read {path}: permission denied") from error
    except Exception as error:  # a damaged file makes a decoder raise nearly anything
        raise UserError(f"{path} is damaged or cut short ({error}); give a whole image") from error


def _decoded(path: Path, *, gray: bool, side: int) -> Image.Image:
    with Image.open(path, formats=FORMATS) as image:
        _check_size(image, side)
        low_bits = _sixteen_bits_cut_to_eight(image)
        _load(image)
        if low_bits and _brightest(image) <= RANGES[-2] >> 8:
            raise _RefusedError("holds 14 bits or fewer in 16 a channel; save it with 8")
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        plain = _plain(image, "L" if gray else "RGB")
    plain.getexif()[ExifTags.Base.Orientation] = orientation
    ImageOps.exif_transpose(plain, in_place=True)
    return plain


def _check_size(image: ImageFile.ImageFile, side: int) -> None:
    """By the header; a large JPEG is first told to decode at a fraction that keeps enough, 1/8 at least."""
    wide, high = image.size
    if wide * high > PLENTY:
        by = KEPT * side / min(wide, high)
        image.draft(None, (max(1, round(wide * by)), max(1, round(high * by))))
    needed = image.width * image.height * BYTES_A_PIXEL.get(image.format or "", 4)
    if needed > MOST_BYTES:
        raise _RefusedError(
            f"has {wide} x {high} pixels, which take {needed / 1e6:.0f} MB to decode, more than"
            f" {MOST_BYTES / 1e6:.0f}; scale it down first"
        )


def _load(image: ImageFile.ImageFile) -> None:
    """Decode all of it; OSError also where libtiff goes on after an error that it has only printed."""
    if image.format != "TIFF":
        image.load()
        return
    with native_stderr.held() as printed:
        image.load()
        if said := printed():
            raise OSError(said.splitlines()[0])


def _sixteen_bits_cut_to_eight(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow, which has colours of 8 bits only, drops the lower half of every channel."""
    return image.mode in COLOURS and any(SIXTEEN_BITS.search(str(tile[3])) for tile in image.tile)


def _brightest(image: Image.Image) -> float:
    """Of the colour channels."""
    colours = [image.getchannel(name) for name in image.getbands() if name.upper() != "A"]
    return max(_extremes(channel)[1] for channel in colours)


def _plain(image: Image.Image, mode: str) -> Image.Image:
    """8 bits without alpha: what is transparent shows white."""
    if image.mode in DEEP:
        image = _eight_bits(image)
    elif image.mode not in COLOURS:
        raise _RefusedError(f"has colours of the kind {image.mode}, which are not read; convert it")
    if image.has_transparency_data:
        clear = _in_mode(image, "LA" if image.mode in {"LA", "La"} else "RGBA")
        image = Image.new("RGB", image.size, "white")
        image.paste(clear, mask=clear)
    return _in_mode(image, mode)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """`convert`, which copies where there is nothing to convert, and large images are dear."""
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(deep: Image.Image) -> Image.Image:
    """Gray of whole numbers up to 16 bits, by the fewest of 8, 10, 12, 14 and 16 that hold the brightest;
    or floats of 0 to 1. Others are refused, for nothing says what their white is.
    """
    if "transparency" in deep.info or getattr(deep, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        raise _RefusedError("is gray of more than 8 bits, inverted or partly clear; save it with 8")
    whole = deep.mode != "F"
    if whole:
        deep = deep.convert("I")
    low, high = _extremes(deep)
    tops = RANGES if whole else (1.0,)
    top = next((top for top in tops if 0 <= low <= high <= top), None)
    if top is None:
        kind, wanted = ("numbers", "0 to 65535") if whole else ("floats", "0 to 1")
        raise _RefusedError(f"has {kind} of {low:g} to {high:g}, not {wanted}; save it with 8 bits")
    scale = 255 / top
    return deep.convert("F").point(lambda value: value * scale + 0.5).convert("L")


def _extremes(gray: Image.Image) -> tuple[float, float]:
    """Least and greatest; NaN when any is, which Pillow passes over."""
    mean: Any = gray.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    low, high = cast(tuple[float, float], gray.getextrema())
    return (math.nan, math.nan) if math.isnan(mean) else (low, high)
