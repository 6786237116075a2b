"""Finds labeled images as they lie on disk: one place knows the layouts of `docs/data.md`.

- one folder per class: ``<class>/*``, or ``train/<class>/*`` beside ``val/`` and ``test/``;
- a table with file names and labels, one for all images or one per split;
- the AIdea layout: ``train.csv`` (``ID,Label``) with ``train_images/``, ``test.csv`` likewise.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from common.errors import DataError
from common.paths import expand
from datamodules.images import list_images, read_image
from datamodules.label_tables import files_of, read_header, read_table

UNLABELED = -1
AIDEA_NAMES = ("normal", "void", "horizontal", "vertical", "edge", "particle")
AIDEA_SIDE = 512  # px
# What each split is called, the first name in messages; "val" also in a table's column "split".
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
KINDS = {name: split for split, names in SPLITS.items() for name in names}
LAYOUTS = (
    "one folder per class, train/<class>/ with test/<class>/, a table of file names and labels "
    "(--data.table), or train.csv with train_images/; see docs/data.md"
)


class LabeledFiles(NamedTuple):
    """The images of one split.

    Args:
        where: the table or folder that they were found in, for messages.
        layout: what was understood, in words.
        folder: what ``names`` are relative to.
        names: paths of the files.
        labels: class of each as the disk has it; empty where unknown.
    """

    where: Path
    layout: str
    folder: Path
    names: list[str]
    labels: list[str]

    def class_names(self) -> list[str]:
        """Names of the classes in natural order: "class 3" for the label 3, AIdea's for AIdea."""
        labels = set(self.labels)
        if self.folder.name == "train_images" and labels <= set("012345"):
            shape = read_image(self.folder / self.names[0], "L").shape
            if tuple(shape) == (1, AIDEA_SIDE, AIDEA_SIDE):
                return list(AIDEA_NAMES)
        return sorted({_class_name(label) for label in labels}, key=_natural)

    def targets(self, class_names: Sequence[str]) -> Tensor:
        """Position of each image's class in ``class_names``, int64 ``(N,)``; or ``UNLABELED``.

        Labels that are numbers but no names stand for positions.

        Raises:
            DataError: a label that is none of the classes; labels in part of the images only.
        """
        if not any(self.labels):
            return torch.full((len(self.labels),), UNLABELED)
        known = {name: position for position, name in enumerate(class_names)}
        classes = [_class_name(label) for label in self.labels]
        if not set(classes) & set(known) and all(label.isdigit() for label in self.labels):
            known = {f"class {position}": position for position in known.values()}
        for label, kind, name in zip(self.labels, classes, self.names, strict=True):
            if kind not in known:
                raise DataError(
                    f"{self.where}: label {label!r} of {name} is none of the classes "
                    f"({in_words(class_names)}); the names are the model's or --data.class_names"
                )
        return torch.tensor([known[kind] for kind in classes])


def _class_name(label: str) -> str:
    return f"class {int(label)}" if re.fullmatch("[0-9]{1,99}", label) else label


def label_numbers(class_names: Sequence[str]) -> list[int]:
    """The number of each class in a table of predictions: 3 of "class 3", else its position."""
    found = (re.fullmatch(r"class (\d+)", name, re.ASCII) for name in class_names)
    return [int(one[1]) if one else position for position, one in enumerate(found)]


def _natural(text: str) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d{1,99})", text.lower())  # each second one is a number
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], text


def in_words(names: Sequence[str]) -> str:
    """Names for a message, of which the middle is left out where they are many."""
    shown = list(names) if len(names) <= 12 else [*names[:9], "...", *names[-2:]]
    return ", ".join(shown)


def find_images(
    data_dir: Path, split: str, table: str | None = None, columns: Sequence[str] | None = None
) -> LabeledFiles | None:
    """The images of one split in any of the layouts.

    Args:
        data_dir: the folder.
        split: "train", "val" or "test".
        table: a table of all images, in ``data_dir`` or anywhere; None looks for one.
        columns: its columns of file names and labels; None finds them by name.

    Returns:
        None where ``data_dir`` has no such split of its own.

    Raises:
        DataError: an unknown layout, a table that cannot be used, images that are missing.
    """
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: no such folder (data_dir)")
    path = _find_table(data_dir, table, columns)
    if path is None:
        return _from_folders(data_dir, split)
    if table is not None or path.stem.lower() not in SPLITS["train"]:
        return _from_table(data_dir, path, columns, split, own=False)
    for name in SPLITS[split]:
        if (found := path.with_name(f"{name}{path.suffix}")).is_file():
            return _from_table(data_dir, found, columns, split, own=True)
    return None


def _find_table(data_dir: Path, table: str | None, columns: Sequence[str] | None) -> Path | None:
    if table is not None:
        path = expand(table) if expand(table).is_file() else data_dir / expand(table)
        if not path.is_file():
            raise DataError(f"{path}: no such file (data.table)")
        return path
    tables = sorted(p for p in data_dir.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".txt"))
    for path in tables:
        if path.stem.lower() in SPLITS["train"]:
            return path
    if (data_dir / "train_images").is_dir() and not columns:
        raise DataError(f"{data_dir / 'train.csv'}: no such file, but there is train_images/")
    usable = [path for path in tables if columns or read_header(path)[2]]
    if len(usable) > 1:
        names = ", ".join(path.name for path in usable)
        raise DataError(f"{data_dir}: several tables ({names}); choose one with --data.table")
    return usable[0] if usable else None


def _from_table(
    data_dir: Path, path: Path, columns: Sequence[str] | None, split: str, own: bool
) -> LabeledFiles | None:
    rows = read_table(path, columns)
    layout = f"table {path.name}"
    if own:
        layout += " of this split"
    elif any(row.split for row in rows):
        for row in rows:
            if row.split.lower() not in KINDS:
                line = f"{path}, line {row.line}"
                raise DataError(f"{line}: split {row.split!r}; give train, val or test")
        layout += " with its splits"
        rows = [row for row in rows if KINDS[row.split.lower()] == split]
    elif split != "train":
        return None
    if not rows:
        return None
    for row in rows:
        if split == "train" and not row.label:
            raise DataError(f"{path}, line {row.line}: no label of {row.name}; give one")
    folder = data_dir
    if own and (data_dir / f"{split}_images").is_dir():  # AIdea
        folder, layout = data_dir / f"{split}_images", "AIdea layout"
    names = files_of(path, [row.name for row in rows], folder)
    return LabeledFiles(path, layout, folder, names, [row.label for row in rows])


def _from_folders(data_dir: Path, split: str) -> LabeledFiles | None:
    folders = sorted(path for path in data_dir.iterdir() if path.is_dir())
    tops = {KINDS[path.name.lower()]: path for path in folders if path.name.lower() in KINDS}
    if "train" not in tops:  # classes lie in the folder itself, test images perhaps beside them
        tops = {"train": data_dir} | {k: top for k, top in tops.items() if k == "test"}
    if (top := tops.get(split)) is None:
        return None
    class_of = {}
    for path in list_images(top, recursive=True):
        first, *rest = path.relative_to(top).parts
        if top != data_dir or KINDS.get(first.lower()) != "test":
            class_of[path.relative_to(data_dir).as_posix()] = first if rest else ""
    unlabeled = split == "test" and not any(class_of.values())
    if not class_of or (not all(class_of.values()) and not unlabeled):
        loose = next((name for name, label in class_of.items() if not label), "every image")
        raise DataError(f"{data_dir}: {loose} lies in no class folder; data_dir holds {LAYOUTS}")
    names = sorted(class_of, key=lambda name: (_natural(class_of[name]), name))
    given = ", ".join(f"{tops[k].name}/" for k in SPLITS if tops.get(k, data_dir) != data_dir)
    layout = f"one folder per class{' in ' if given else ''}{given}"
    return LabeledFiles(top, layout, data_dir, names, [class_of[name] for name in names])


def stratified_split(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted positions for training and validation, with ``fraction`` of each class in the latter.

    A class of one image is trained on alone. By hand, because scikit-learn's ``train_test_split``
    draws otherwise: the validation images, by which published checkpoints were chosen, would be
    others.
    """
    generator = torch.Generator().manual_seed(seed)
    train: list[Tensor] = []
    val: list[Tensor] = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        count = min(max(round(len(members) * fraction), 1), len(members) - 1)
        val.append(members[:count])
        train.append(members[count:])
    return torch.cat(train).sort().values, torch.cat(val).sort().values
