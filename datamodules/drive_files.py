"""The files of the DRIVE layout: which belong together, and reading the masks.

Source: Staal et al., "Ridge-based vessel segmentation in color images of the retina", 2004;
https://drive.grand-challenge.org (the download there needs an account).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torchvision import tv_tensors

from common.errors import DataError
from datamodules.images import list_images, read_image, say
from datamodules.transforms.fundus import LEAST_FOV, fov_diameter

Split = Literal["training", "test"]
# The names of each folder, the official one first.
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {"training": ("training", "train"), "test": ("test",)}
IMAGE_NAMES = ("images", "image")
VESSEL_NAMES = ("1st_manual", "masks")
FOV_NAMES = ("mask",)
SECOND_NAMES = ("2nd_manual",)
MOST_LABELS = 8  # gray levels in a mask that are meant as such


@dataclass(frozen=True)
class FundusFiles:
    """The files of one photograph; None where the folder does not have that part.

    Args:
        image: the photograph.
        vessels: of the first observer.
        fov: the field of view.
        second: vessels of the second observer.
        root: what ``name`` is relative to, by default the image's folder.
    """

    image: Path
    vessels: Path | None = None
    fov: Path | None = None
    second: Path | None = None
    root: Path | None = None

    @property
    def name(self) -> str:
        """The image's file name, or its path below ``root``."""
        return self.image.relative_to(self.root or self.image.parent).as_posix()


def _folder(parent: Path, names: Sequence[str]) -> Path | None:
    return next((parent / name for name in names if (parent / name).is_dir()), None)


def _key(path: Path) -> str:
    """What an image and its masks have in common: ``21`` of ``21_training``, ``21_manual1``..."""
    return re.sub(r"(_(training|test|manual[12]|mask))+$", "", path.stem, flags=re.IGNORECASE)


def _by_key(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder):
        other = found.setdefault(_key(path), path)
        if other != path:
            raise DataError(f"{other} and {path}: two files for '{_key(path)}'; keep one of them")
    return found


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing in ``folder`` but hidden files."""
    try:
        return all(path.name.startswith(".") for path in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None


def read_split(folder: Path) -> list[FundusFiles]:
    """The photographs of one split, each with what belongs to it by name.

    ``folder`` holds ``images/`` and, each of them optional but then complete, vessel masks in
    ``1st_manual/`` (official) or ``masks/`` (flat), ``mask/`` (field of view), ``2nd_manual/``.

    Raises:
        DataError: no images; an image without its mask or a mask without its image where the folder
            of masks has any; two files for one name.
    """
    image_folder = _folder(folder, IMAGE_NAMES)
    if image_folder is None:
        raise DataError(f"{folder}: holds no folder images/; expected the layout of DRIVE")
    images = _by_key(image_folder)
    parts: list[dict[str, Path]] = []
    for names in (VESSEL_NAMES, FOV_NAMES, SECOND_NAMES):
        part_folder = _folder(folder, names)
        part = {}
        if part_folder is not None and not _is_empty(part_folder):
            part = _by_key(part_folder)
            for key in images.keys() - part.keys():
                raise DataError(
                    f"{images[key]}: has no mask {part_folder / key}*; add it or remove the image"
                )
            for key in part.keys() - images.keys():
                raise DataError(
                    f"{part[key]}: has no image {image_folder / key}*; add it or remove the mask"
                )
        parts.append(part)
    vessels, fov, second = parts
    return [FundusFiles(images[k], vessels.get(k), fov.get(k), second.get(k)) for k in images]


def read_drive(data_dir: Path) -> dict[Split, list[FundusFiles]]:
    """The splits that ``data_dir`` has, ``training`` (or ``train``) and ``test``.

    A folder with ``images/`` right in it and no split is all test.

    Raises:
        DataError: no such folder, another layout, or as `read_split`.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder")
    folders = {split: _folder(data_dir, names) for split, names in SPLIT_NAMES.items()}
    splits = {split: read_split(folder) for split, folder in folders.items() if folder is not None}
    if not splits and _folder(data_dir, IMAGE_NAMES) is not None:
        splits["test"] = read_split(data_dir)
    if not splits:
        raise DataError(
            f"{data_dir}: not the layout of DRIVE; expected training/images, training/1st_manual, "
            "test/images (or masks/ in place of 1st_manual/)"
        )
    return splits


def read_mask(path: Path, image: Path, size: Sequence[int], full: bool = False) -> tv_tensors.Mask:
    """A drawn mask as bool ``(1, H, W)``; any two gray levels, smoothed edges and colors allowed.

    The level of a pixel is its greatest channel: arteries in red and veins in blue are vessels.

    Args:
        path: the mask.
        image: the photograph it belongs to, for the message.
        size: ``(H, W)`` of that photograph.
        full: allow a mask that is set everywhere, as a field of view may be.

    Raises:
        DataError: unreadable, of another size, empty, or not a mask (more than a fifth of what is
            drawn is neither bright nor beside it, or of the image in between); names both files.
    """
    color = read_image(path, "RGB").as_subclass(Tensor)
    gray, least = color.amax(0, keepdim=True), color.amin(0, keepdim=True)
    if gray.shape[-2:] != torch.Size(size):
        (mh, mw), (h, w) = gray.shape[-2:], size
        raise DataError(f"{path}: mask of {mw}x{mh} px for {image} of {w}x{h} px; redraw or resize")
    low, high = int(gray.min()), int(gray.max())
    if low == high:
        if full and high:
            return tv_tensors.Mask(torch.ones_like(gray, dtype=torch.bool))
        raise DataError(f"{path}: empty mask ({low} everywhere) for {image}; remove both or redraw")
    level = (gray.float() - low) / (high - low)
    values = gray.unique().tolist()
    # Of few values each is a label; else the darkest may be traces of a lossy compression.
    drawn = level > (0 if len(values) <= MOST_LABELS else 0.2)
    near_bright = max_pool2d((level > 0.8).float(), 5, stride=1, padding=2) > 0
    between = float(((level > 0.2) & (level < 0.8)).float().mean())  # much of it in a photograph
    other = max(between, float((drawn & ~near_bright).sum() / drawn.sum()))
    if other > 0.2 or low > high / 2:
        shown = ", ".join(map(str, values)) if len(values) <= MOST_LABELS else f"{low} to {high}"
        raise DataError(
            f"{path}: not a binary mask (gray {shown}, {other:.0%} in between) "
            f"for {image}; save it in black and white"
        )
    if (gray - least).max() > 64:
        say(f"{path.parent}: masks in color; each color counts as drawn")
    elif 2 < len(values) <= MOST_LABELS:
        say(
            f"{path}: gray {', '.join(map(str, values))}; above {(low + high) // 2} counts as drawn"
        )
    return tv_tensors.Mask(level > 0.5)


def read_masks(
    files: FundusFiles, size: Sequence[int]
) -> tuple[tv_tensors.Mask | None, tv_tensors.Mask | None]:
    """The drawn vessels and field of view of one photograph, where there are files of them.

    Args:
        files: of the photograph.
        size: its ``(H, W)``.

    Raises:
        DataError: as `read_mask`; the field of view is a speck; more than half of it is vessel, or
            most vessels lie outside of it: a mask is inverted, or the two are swapped.
    """
    vessels = read_mask(files.vessels, files.image, size) if files.vessels else None
    fov = read_mask(files.fov, files.image, size, full=True) if files.fov else None
    if fov is not None and fov_diameter(fov) < LEAST_FOV * max(size):
        raise DataError(
            f"{files.fov}: a field of view of {fov_diameter(fov):.0f} px in {files.image} of "
            f"{size[1]}x{size[0]} px; redraw it"
        )
    if vessels is not None:
        inside = vessels if fov is None else vessels[fov]
        share = inside.float().mean().item()
        if share > 0.5:
            raise DataError(
                f"{files.vessels}: {share:.0%} of the field of view of {files.image} is vessel; "
                "invert the mask, or swap it with the one of the field of view"
            )
        if inside.sum() < vessels.sum() / 2:
            raise DataError(
                f"{files.fov}: most vessels of {files.vessels} lie outside of this field of view; "
                "invert the mask"
            )
    return vessels, fov
