"""Splits of fundus photographs, shared by segmentation and reconstruction."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from common.errors import DataError
from common.paths import expand
from datamodules.base import ImageDataModule
from datamodules.folds import ALL, fold_split
from datamodules.fundus_files import FundusFiles, Split, find_photographs

TEST_SHARE = 0.2  # of the persons, where no test photographs are given

Files = list[FundusFiles]


def _by_person(files: Files) -> list[Files]:
    persons: dict[str, Files] = {}
    for one in files:
        persons.setdefault(one.person, []).append(one)
    return list(persons.values())


def _draw(files: Files, count: int, seed: int) -> tuple[Files, Files]:
    """The rest, and ``count`` photographs or a few more: both eyes of a person stay together."""
    persons, drawn = _by_person(files), set[FundusFiles]()
    for person in torch.randperm(len(persons), generator=torch.Generator().manual_seed(seed)):
        if len(drawn) < count:
            drawn.update(persons[int(person)])
    return [one for one in files if one not in drawn], [one for one in files if one in drawn]


def read_splits(folder: Path, seed: int) -> tuple[str, dict[Split, Files]]:
    """The layout in words, and the splits; test photographs are drawn where no split is given.

    Raises:
        DataError: see `find_photographs`.
    """
    found = find_photographs(folder)
    splits = dict(found.splits)
    if (every := splits.pop("undivided", None)) is None:
        return found.layout, splits
    share = max(1, round(TEST_SHARE * len(every)))
    training, test = _draw(every, share, seed) if len(every) > 2 else (every, every)
    return f"{found.layout}; no given split", {"training": training, "test": test}


def training_split(
    folder: Path, val_size: int, seed: int, folds: int | None = None, fold: Any = None
) -> tuple[Files, Files]:
    """Training and validation images, those that are given or ``val_size`` drawn by ``seed``.

    With ``folds``, the part ``fold`` of so many in place of ``val_size`` images; with fold "all"
    none.

    Raises:
        DataError: no training folder, or too few images in it.
    """
    layout, splits = read_splits(folder, seed)
    files, own = splits.get("training"), splits.get("validation", [])
    if files is None:
        raise DataError(f"{folder}: training photographs are not there, only {layout}")
    if fold == ALL:
        return [*files, *own], []
    if folds is not None:
        persons = _by_person([*files, *own])
        parts = fold_split(folder, folds, fold, seed, len(persons))
        train, val = ([one for i in part for one in persons[i]] for part in parts)
        return train, val
    if own:
        return files, own
    if not 0 < val_size < len(_by_person(files)):
        raise DataError(
            f"{folder}: {len(files)} training images, so data.val_size is 1 to {len(files) - 1}, "
            f"not {val_size}"
        )
    return _draw(files, val_size, seed)


def split_of(data: ImageDataModule, val_size: int, stage: str) -> tuple[Files, Files]:
    """`training_split` as a data module's options want it; the log says what was understood.

    Raises:
        DataError: see `training_split`; all images train, and ``stage`` is not ``fit``.
    """
    data.refuse_to_score_all(stage)
    split = training_split(data.folder, val_size, data.seed, data.folds, data.fold)
    layout, splits = read_splits(data.folder, data.seed)
    counts = (*map(len, split), len(splits.get("test", [])))
    rank_zero_info(
        "%s: %s; %d training, %d validation and %d test images%s",
        data.data_source,
        layout,
        *counts,
        data.split_description,
    )
    return split


def test_split(data: ImageDataModule) -> Files | None:
    """The test images, None where there are none; all of ``test_dir`` that has no split.

    Raises:
        DataError: see `find_photographs`.
    """
    if data.trainer is None or data.trainer.state.fn != "test" or data.test_dir is None:
        return read_splits(data.folder, data.seed)[1].get("test")
    found = find_photographs(expand(data.test_dir))
    split = next(s for s in ("test", "undivided", "training") if s in found.splits)
    files = found.splits[split]
    rank_zero_info("%s: %s; %s, %d test images", data.test_dir, found.layout, split, len(files))
    return files
