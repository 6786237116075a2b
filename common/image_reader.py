"""Pixels of an image file, by content: the one reader, which exported models ship beside them.

Needs NumPy and Pillow alone.
"""

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

# By content, never by name: Pillow would hand an EPS file to Ghostscript.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "AVIF", "PPM", "JPEG2000")
SUFFIXES = (  # of the files in a folder that are meant
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"),
)
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr")
MOST_PIXELS = 64_000_000  # from the header, before decoding: 2 GB of float32 RGB and its copies
SEVERAL_PAGES = "several pages or frames; save the one to use as a single image"
DEPTH, TURN, PLANES = 258, 274, 284  # tags of TIFF


class BadImage(ValueError):
    """One line: what is wrong with an image, and the fix."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn whatever Pillow raises, here for a damaged file, into `BadImage`."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except BadImage:
        raise
    except MemoryError:
        raise BadImage("not enough memory to read it; free some, or make it smaller") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise BadImage(f"cannot be read ({error.strerror})") from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadImage(f"not a readable image ({reason}); replace or remove it") from None


def read(data: bytes, mode: Literal["L", "RGB"], formats: tuple[str, ...] = FORMATS) -> np.ndarray:
    """Pixels of an image file; see `to_array`.

    Raises:
        BadImage: not one of the formats, damaged, several pages or frames, or what `to_array`
            refuses.
    """
    with one_line():
        try:
            image: Image.Image = Image.open(io.BytesIO(data), formats=formats)
        except UnidentifiedImageError:
            if "TIFF" in formats and data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return to_array(_open_tiff(data), mode)
            raise BadImage(f"not a readable image ({', '.join(formats)}); replace it") from None
        _check_size(image.size)
        # A camera's MPO is a JPEG with a preview behind it.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise BadImage(SEVERAL_PAGES)
        tags = getattr(image, "tag_v2", {})
        if tags.get(PLANES) == 2 and max(tags.get(DEPTH, (8,))) > 8:  # which Pillow reads wrongly
            image = _open_tiff(data)
        return to_array(image, mode)


def _check_size(size: tuple[int, ...]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise BadImage(f"{size[0]}x{size[1]} px, more than {MOST_PIXELS:,}; make it smaller")


def _open_tiff(data: bytes) -> Image.Image:
    """TIFF that Pillow does not read: floats in color or of 16 and 64 bits, planes of 16 bits."""
    import tifffile

    logging.getLogger("tifffile").disabled = True  # it tells of damage that does not matter
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages.first
        _check_size((page.imagewidth, page.imagelength))
        if page.photometric.name not in ("MINISBLACK", "RGB") or page.nbytes > 8 * MOST_PIXELS:
            raise BadImage(f"{page.photometric.name} of {page.dtype}; save it as 8-bit gray or RGB")
        with suppress(IndexError):
            file.pages[1]
            raise BadImage(SEVERAL_PAGES)
        values = page.asarray()
        if page.axes == "SYX":
            values = np.moveaxis(values, 0, 2)
        image = Image.fromarray(to_8_bits(values))
        image.getexif()[TURN] = page.tags.valueof(TURN, 1)
        return image


def to_array(image: Image.Image, mode: Literal["L", "RGB"]) -> np.ndarray:
    """Pixels as uint8 ``(H, W)`` for "L" or ``(H, W, 3)`` for "RGB", upright by the EXIF tag.

    Gray, RGB, 1-bit and palette images are converted to ``mode``; more than 8 bits a channel and
    floating point as in `to_8_bits`. An alpha channel is dropped if it is opaque everywhere.

    Raises:
        BadImage: transparency, for the color below it is undefined; another color space than gray
            and RGB; a damaged file; values that `to_8_bits` refuses.
    """
    with one_line():
        low = _low_bytes(image)
        image.load()  # the tag may lie behind the pixels
        upright = ImageOps.exif_transpose(image)
        if upright.mode[0] in "IF":
            upright = Image.fromarray(to_8_bits(np.asarray(upright)))
        if upright.mode not in MODES:
            raise BadImage(f"{upright.mode} colors; save it as gray or RGB")
        if upright.has_transparency_data:
            upright = upright.convert("RGBA")
            if upright.getchannel("A").getextrema() != (255, 255):
                raise BadImage("transparent pixels; save it without an alpha channel")
            upright = upright.convert("RGB")
        elif upright.mode == "P":
            upright = upright.convert("RGB")
        if low is not None:
            high = np.asarray(upright, np.uint16)
            values = high * 256 + np.asarray(ImageOps.exif_transpose(low).convert("RGB"))
            upright = Image.fromarray(to_8_bits(values))
        return np.array(upright if upright.mode == mode else upright.convert(mode))


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Values of any depth as uint8, from 0 to what their range holds.

    The range of floats up to 1 is 0 to 1. Else it is the least of 8, 10, 12, 14 and 16 bits that
    holds the greatest value: cameras write 12 bits into files of 16.

    Raises:
        BadImage: negative values, above 65535 or not finite.
    """
    least, greatest = values.min(), values.max()
    if not 0 <= least <= greatest <= 65535:
        raise BadImage(f"values from {least:g} to {greatest:g}; save 0 to 1, or up to 16 bits")
    ranges = [2**bits - 1 for bits in (8, 10, 12, 14, 16)]
    if values.dtype.kind == "f":
        ranges.insert(0, 1)
    full = next(x for x in ranges if greatest <= x)
    return np.rint(values * np.float32(255 / full)).astype(np.uint8)


def _low_bytes(image: Image.Image) -> Image.Image | None:
    """The low byte of each 16-bit color value in a file; None if the file is of another depth.

    Pillow decodes the high byte alone. Told that the order of bytes is the other, it takes the low.
    """
    tiles = getattr(image, "tile", [])
    args = [tile.args if isinstance(tile.args, tuple) else (tile.args,) for tile in tiles]
    raw = str(args[0][0]) if args and image.mode[0] not in "IF" else ""
    if not isinstance(image, ImageFile.ImageFile) or ";16" not in raw:
        return None
    if not raw.startswith("RGB"):
        raise BadImage(f"16 bits a channel as {raw}; save it as gray or RGB without alpha")
    other = "L" if raw[-1] == "B" or (raw[-1] == "N" and sys.byteorder == "big") else "B"
    assert image.fp is not None
    image.fp.seek(0)
    low = Image.open(image.fp, formats=FORMATS)
    low.tile = [
        tile._replace(args=(raw[:-1] + other, *more))
        for tile, (_, *more) in zip(low.tile, args, strict=True)
    ]
    low.load()
    return low
