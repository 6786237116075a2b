"""Splits of DRIVE, shared by segmentation and reconstruction."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from common.errors import DataError
from datamodules.base import ImageDataModule
from datamodules.drive_files import FundusFiles, read_drive
from datamodules.folds import ALL, fold_split
from datamodules.images import list_images


def training_split(
    folder: Path, val_size: int, seed: int, folds: int | None = None, fold: Any = None
) -> tuple[list[FundusFiles], list[FundusFiles]]:
    """Training and validation images: ``val_size`` of the training folder, drawn by ``seed``.

    With ``folds``, the part ``fold`` of so many in place of ``val_size`` images; with fold "all"
    none.

    Raises:
        DataError: no training folder, or too few images in it.
    """
    files = read_drive(folder).get("training")
    if files is None:
        raise DataError(f"{folder}: holds no training/ folder; only test and predict")
    if fold == ALL:
        return files, []
    if folds is not None:
        train, val = fold_split(folder, folds, fold, seed, len(files))
        return [files[i] for i in train], [files[i] for i in val]
    if not 0 < val_size < len(files):
        raise DataError(
            f"{folder}: {len(files)} training images, so data.val_size is 1 to {len(files) - 1}, "
            f"not {val_size}"
        )
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(seed))
    held_out = set(order[:val_size].tolist())
    return (
        [one for i, one in enumerate(files) if i not in held_out],
        [one for i, one in enumerate(files) if i in held_out],
    )


def split_of(
    data: ImageDataModule, val_size: int, stage: str
) -> tuple[list[FundusFiles], list[FundusFiles]]:
    """`training_split` as a data module's options want it; the log names its fold.

    Raises:
        DataError: see `training_split`; all images train, and ``stage`` is not ``fit``.
    """
    data.refuse_to_score_all(stage)
    split = training_split(data.folder, val_size, data.seed, data.folds, data.fold)
    if data.split_description:
        rank_zero_info(
            "%d training and %d validation images%s", *map(len, split), data.split_description
        )
    return split


def test_split(folder: Path) -> list[FundusFiles]:
    """The test images.

    Raises:
        DataError: the folder has no test images.
    """
    files = read_drive(folder).get("test")
    if files is None:
        raise DataError(f"{folder}: holds no test/ folder; `validate` needs none")
    return files


def plain_images(folder: Path, recursive: bool) -> list[FundusFiles]:
    """The images of a plain folder, or a single one.

    Raises:
        DataError: no image there, or two of the same stem, whose outputs would collide.
    """
    by_stem: dict[Path, Path] = {}
    for path in list_images(folder, recursive):
        other = by_stem.setdefault(path.with_suffix(""), path)
        if other != path:
            raise DataError(f"{other} and {path}: the same name; rename one of them")
    root = folder.parent if folder.is_file() else folder
    return [FundusFiles(path, root=root) for path in by_stem.values()]
