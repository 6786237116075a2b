"""Reads user input: paths, Pillow images and arrays, one or many."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from torchvision import tv_tensors

from common.errors import DataError
from common.image_reader import BadImage, to_8_bits, to_array
from common.paths import expand
from datamodules.images import list_images, read_image, to_tensor

Source = str | Path | Image.Image | np.ndarray
GIVE = "give a path, a PIL image, an array (H, W) or (H, W, 3) of uint8, uint16 or floats"


def is_one(x: Any) -> bool:
    """Whether ``x`` stands for one image; a path that is no folder does."""
    if isinstance(x, str | Path):
        return not expand(x).is_dir()
    return isinstance(x, Image.Image | np.ndarray)


def each(x: Any) -> Iterator[Any]:
    """The images of a folder in the order of their names, or what an iterable gives.

    Raises:
        DataError: a folder without images; neither an image nor many.
    """
    if isinstance(x, str | Path):
        return iter(list_images(expand(x)))
    if isinstance(x, Iterable):
        return iter(x)
    raise DataError(f"{type(x).__name__} is not an image; {GIVE}, or a list or folder of them")


def read_pixels(x: Source, mode: Literal["L", "RGB"], name: str) -> tuple[tv_tensors.Image, str]:
    """Pixels uint8 ``(1 or 3, H, W)`` of one image, and its name: the file's or else ``name``.

    Raises:
        DataError: no image, one that `read_image` refuses, an array of another type or shape.
    """
    if isinstance(x, str | Path):
        path = expand(x)
        return read_image(path, mode), path.name
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "uif" or x.shape[2:] not in ((), (3,)) or x.ndim < 2 or not x.size:
            shape = "x".join(map(str, x.shape))
            raise DataError(f"{name}: an array {shape} of {x.dtype} is not an image; {GIVE}")
    elif not isinstance(x, Image.Image):
        raise DataError(f"{name}: {type(x).__name__} is not an image; {GIVE}")
    try:
        if isinstance(x, np.ndarray):
            x = Image.fromarray(np.ascontiguousarray(to_8_bits(x)))
        return to_tensor(to_array(x, mode)), name
    except BadImage as error:
        raise DataError(f"{name}: {error}") from None
