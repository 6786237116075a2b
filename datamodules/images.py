"""Reading one image file, with an error that names it."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision import tv_tensors

from datamodules.errors import DataError

# What Pillow reads without plug-ins and users have; also what a plain folder is searched for.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


def list_images(folder: Path) -> list[Path]:
    """Image files directly in ``folder``, sorted by name.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DataError(f"{folder}: holds no image ({' '.join(IMAGE_SUFFIXES)})")
    return paths


def read_image(path: Path, mode: Literal["L", "RGB"]) -> tv_tensors.Image:
    """Pixels of an 8-bit image as uint8 ``(1, H, W)`` for "L" or ``(3, H, W)`` for "RGB".

    Gray, RGB, 1-bit and palette files are converted to ``mode``. An alpha channel is dropped if it
    is opaque everywhere, else refused, for the colour below it is undefined. More than 8 bits a
    channel are refused: the scale to 8 bits is the user's to choose.

    Raises:
        DataError: missing, unreadable or truncated file, real transparency, more than 8 bits.
    """
    try:
        with Image.open(path) as file:
            file.load()
            image: Image.Image = file
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable image ({error}); replace or remove it") from None
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: more than 8 bits a channel ({image.mode}); save it as 8-bit")
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            raise DataError(f"{path}: transparent pixels; save it without an alpha channel")
        image = image.convert("RGBA").convert("RGB")
    elif image.mode == "P":
        image = image.convert("RGB")
    pixels = torch.from_numpy(np.array(image.convert(mode)))
    return tv_tensors.Image(pixels[None] if mode == "L" else pixels.permute(2, 0, 1))
