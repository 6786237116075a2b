"""Tables and folders of the AIdea layout, see `datamodules.aoi`.

A table may have a million rows: names lie in one array and not in a list, whose strings every
worker process would copy by counting their references.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.errors import DataError
from datamodules.tables import read_csv

UNLABELED = -1
CHUNK = 65536  # rows that are held as Python objects at a time


class Table(NamedTuple):
    """Rows of a CSV: names, an array of strings ``(N,)``, and labels, int64 ``(N,)``."""

    names: np.ndarray
    labels: Tensor


def name_array(names: list[str]) -> np.ndarray:
    """Strings ``(N,)`` without a Python object for each, where all of them are Unicode."""
    try:
        return np.array(names, dtype=np.dtypes.StringDType())
    except UnicodeEncodeError:  # a file name in another encoding
        return np.array(names, dtype=object)


def read_table(path: Path, num_classes: int, labeled: bool) -> Table:
    """The rows of a CSV with columns ``ID,Label``, in its order.

    Args:
        path: the file.
        num_classes: labels are ``0 .. num_classes - 1``.
        labeled: refuse empty labels; else they become ``UNLABELED``.

    Raises:
        DataError: no file, column or row, a duplicate ID, another label, labels in part of the
            rows only, and what `read_csv` raises.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; data_dir must hold train.csv and train_images/")
    names, labels, chunk = [name_array([])], list[np.ndarray](), list[tuple[str, int]]()
    for line, (name, text) in read_csv(path, ("ID", "Label")):
        if not name:
            raise DataError(f"{path}, line {line}: the ID is empty")
        chunk.append((name, _label(text, name, num_classes, labeled, f"{path}, line {line}")))
        if len(chunk) == CHUNK:
            _flush(chunk, names, labels)
    if chunk:
        _flush(chunk, names, labels)
    if not labels:
        raise DataError(f"{path}: holds no rows")
    table = Table(np.concatenate(names), torch.from_numpy(np.concatenate(labels)))
    unlabeled = table.labels == UNLABELED
    if unlabeled.any() and not unlabeled.all():
        raise DataError(
            f"{path}: some rows have a label and some have none; fill or empty them all"
        )
    _refuse_duplicates(path, table.names)
    return table


def _label(text: str, name: str, num_classes: int, labeled: bool, where: str) -> int:
    if not text and not labeled:
        return UNLABELED
    if not text.isascii() or not text.isdigit() or int(text[:9]) >= num_classes:
        raise DataError(f"{where}: label {text[:20]!r} of {name} is not in 0-{num_classes - 1}")
    return int(text)


def _flush(chunk: list[tuple[str, int]], names: list[np.ndarray], labels: list[np.ndarray]) -> None:
    names.append(name_array([name for name, _ in chunk]))
    labels.append(np.array([label for _, label in chunk]))
    chunk.clear()


def _hashes(names: np.ndarray) -> np.ndarray:
    """Python's hash of each name, int64: eight bytes in place of a string in a set."""
    return np.fromiter(map(hash, names), np.int64, len(names))


def _refuse_duplicates(path: Path, names: np.ndarray) -> None:
    hashes = _hashes(names)
    order = hashes.argsort(kind="stable")
    same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    repeated = [
        second
        for first, second in order[np.stack([same, same + 1], 1)]
        if names[first] == names[second]
    ]
    if repeated:
        name = names[min(repeated)]
        line = [line for line, row in read_csv(path, ("ID",)) if row[0] == name][1]
        raise DataError(f"{path}, line {line}: {name} is listed twice")


def check_images(table: Table, folder: Path, csv_path: Path) -> None:
    """Refuse a table whose images are not all in ``folder``, in one line with their count.

    Raises:
        DataError: no such folder, or images of the table that are no files in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; it must hold the images of {csv_path.name}")
    try:
        with os.scandir(folder) as entries:
            there = np.fromiter((hash(e.name) for e in entries if e.is_file()), np.int64)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({error.strerror})") from None
    missing = np.flatnonzero(~np.isin(_hashes(table.names), there))
    if len(missing):
        raise DataError(
            f"{folder}: {len(missing):,} of the {len(table.names):,} images listed in "
            f"{csv_path.name} are missing, first {table.names[missing[0]]}; add them or remove "
            "their rows"
        )


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted positions for training and validation, with ``fraction`` of each class in the latter.

    By hand, because scikit-learn's ``train_test_split`` draws otherwise: the validation images, by
    which published checkpoints were chosen, would be others.

    Raises:
        DataError: a class has a single image, which cannot be in both parts.
    """
    generator = torch.Generator().manual_seed(seed)
    train: list[Tensor] = []
    val: list[Tensor] = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            raise DataError(f"class {label} has 1 training image; the split needs 2 or more")
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        val.append(members[:count])
        train.append(members[count:])
    return torch.cat(train).sort().values, torch.cat(val).sort().values
