"""Finding and reading image files, with errors that name them."""

import os
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors

from common.errors import DataError

# By content, whatever the name: Pillow would start Ghostscript for an EPS.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "AVIF", "PPM")
# What Pillow reads without plug-ins and users have; also what a plain folder is searched for.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avif")


def list_images(folder: Path, recursive: bool = False) -> list[Path]:
    """Image files in ``folder``, sorted by path; ``folder`` may be a single image too.

    Hidden files (``.DS_Store``, ``._x.png`` ...) and files of other kinds are passed over.

    Args:
        recursive: in the folders below too, but hidden ones.

    Raises:
        DataError: no such folder, one that must not be read, no image in it, or a file of another
            kind.
    """
    if folder.is_file() and folder.suffix.lower() in IMAGE_SUFFIXES:
        return [folder]
    if folder.is_file():
        raise DataError(f"{folder}: is no image ({' '.join(IMAGE_SUFFIXES)}); give one or a folder")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    paths = []
    for top, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        images = (name for name in files if name.lower().endswith(IMAGE_SUFFIXES))
        paths += [Path(top, name) for name in images if not name.startswith(".")]
    paths.sort()
    if not paths:
        raise DataError(f"{folder}: holds no image ({' '.join(IMAGE_SUFFIXES)})")
    return paths


def _raise(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror})")


def read_image(path: Path, mode: Literal["L", "RGB"]) -> tv_tensors.Image:
    """Pixels of an 8-bit image as uint8 ``(1, H, W)`` for "L" or ``(3, H, W)`` for "RGB".

    See `to_pixels`. Files of several pages or frames are refused: which one is meant is unknown.

    Raises:
        DataError: missing, unreadable or truncated file, several pages, more pixels than Pillow
            takes for an attack, and what `to_pixels` refuses.
    """
    if path.is_fifo():  # opening it would wait for ever
        raise DataError(f"{path}: a pipe, no image; replace or remove it")
    try:
        # Pillow warns of large images and refuses huge ones; the line about these is enough.
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(path, formats=FORMATS) as file,
        ):
            # A camera's MPO is a JPEG with a preview behind it.
            pages = 1 if file.format == "MPO" else getattr(file, "n_frames", 1)
            if pages == 1:
                file.load()
            image: Image.Image = file
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # whatever Pillow meets in a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: not a readable image ({reason}); replace or remove it") from None
    if pages != 1:
        raise DataError(f"{path}: {pages} pages or frames; save the one to use as a single image")
    return to_pixels(image, mode, str(path))


def to_pixels(image: Image.Image, mode: Literal["L", "RGB"], name: str) -> tv_tensors.Image:
    """Pixels of a loaded image as uint8 ``(1, H, W)`` for "L" or ``(3, H, W)`` for "RGB".

    Gray, RGB, 1-bit and palette images are converted to ``mode``. An alpha channel is dropped if it
    is opaque everywhere, else refused, for the color below it is undefined. More than 8 bits a
    channel are refused: the scale to 8 bits is the user's to choose.

    Args:
        image: of Pillow.
        mode: what to convert to.
        name: of the image, for messages.

    Raises:
        DataError: real transparency, or more than 8 bits a channel.
    """
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{name}: more than 8 bits a channel ({image.mode}); save it as 8-bit")
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            raise DataError(f"{name}: transparent pixels; save it without an alpha channel")
        image = image.convert("RGBA").convert("RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    pixels = torch.from_numpy(np.array(image.convert(mode)))
    return tv_tensors.Image(pixels[None] if mode == "L" else pixels.permute(2, 0, 1))
