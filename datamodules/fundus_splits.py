"""Training, validation and test photographs: given ones, or drawn by a seed, never within a person.

Both eyes of a person stay together.
"""

from pathlib import Path
from typing import Any

import torch

from common.errors import DataError
from datamodules.folds import ALL, fold_split
from datamodules.fundus_files import FundusFiles, FundusSet, find_photographs

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


def read_splits(folder: Path, seed: int) -> FundusSet:
    """`find_photographs`, with test photographs drawn where no split is given."""
    found = find_photographs(folder)
    if "undivided" not in found.splits:
        return found
    every = found.splits["undivided"]
    share = max(1, round(TEST_SHARE * len(every)))
    training, test = _draw(every, share, seed) if len(every) > 2 else (every, every)
    return FundusSet(f"{found.layout}; no given split", {"training": training, "test": test})


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
    if not 0 < val_size < (count := len(_by_person(files))):
        raise DataError(
            f"{folder}: {len(files)} training images of {count} persons, so data.val_size is 1 "
            f"to {count - 1}, not {val_size}"
        )
    return _draw(files, val_size, seed)
