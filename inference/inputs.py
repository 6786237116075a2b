"""Reads user input: paths, Pillow images and arrays, or tuples of them; one or many."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from torch import Tensor

from common.errors import DataError
from common.image_reader import BadImage, to_8_bits, to_array
from common.paths import expand
from datamodules.blot_files import Member, find_templates
from datamodules.images import list_images, read_image, to_tensor

Source = str | Path | Image.Image | np.ndarray
GIVE = "give a path, a PIL image, an array (H, W) or (H, W, 3) of uint8, uint16 or floats"


def is_one(x: Any, templates: int = 0) -> bool:
    """Whether ``x`` stands for one image; a path that is no folder does.

    Or for all ``templates`` of a blot, if it has any: a tuple does.
    """
    if templates > 1 or isinstance(x, tuple):
        return templates > 0 and isinstance(x, tuple)
    if isinstance(x, str | Path):
        return not expand(x).is_dir()
    return isinstance(x, Image.Image | np.ndarray)


def each(x: Any, templates: int = 0) -> Iterator[Any]:
    """The images of a folder in the order of their names, or what an iterable gives.

    Raises:
        DataError: a folder without images; neither an image nor many.
    """
    if templates > 1 and is_one(x):
        raise DataError("one image: a blot is made of several templates; give all, as a tuple")
    if isinstance(x, str | Path):
        folder = expand(x)
        if templates:
            return (pair.templates for pair in find_templates(folder))
        return iter(list_images(folder))
    if isinstance(x, Iterable):
        return iter(x)
    raise DataError(f"{type(x).__name__} is not an image; {GIVE}, or a list or folder of them")


def read_images(
    x: Any, mode: Literal["L", "RGB"], name: str, templates: int = 0
) -> tuple[list[Tensor], str]:
    """Pixels of an image, or of each of a tuple of templates, and the name of the first.

    Raises:
        DataError: see `read_pixels`; templates of different shapes, or not as many.
    """
    if not templates or not isinstance(x, tuple) or isinstance(x, Member):
        x = (x,)
    if templates and len(x) != templates:
        raise DataError(f"{name}: {len(x)} template(s); give {templates}, as a tuple")
    read = [read_pixels(one, mode, name) for one in x]
    if len({pixels.shape for pixels, _ in read}) > 1:
        sizes = [f"{of} is {p.shape[2]}x{p.shape[1]} px" for p, of in read]
        raise DataError(f"{name}: {', '.join(sizes)}; give templates of one size")
    named = isinstance(x[0], str | Path | Member)
    return [pixels for pixels, _ in read], read[0][1] if named else name


def read_pixels(x: Source | Member, mode: Literal["L", "RGB"], name: str) -> tuple[Tensor, str]:
    """Pixels uint8 ``(1 or 3, H, W)`` of one image, and its name: the file's or else ``name``.

    Raises:
        DataError: no image, one that `read_image` refuses, an array of another type or shape.
    """
    if isinstance(x, Member):
        return x.read(mode), x.path.name
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
