"""Finds labeled images as they lie on disk: one place knows the layouts of `docs/data.md`.

- one folder per class: ``<class>/*``, or ``train/<class>/*`` beside ``val/`` and ``test/``;
- a table with file names and labels, one for all images or one per split;
- the AIdea layout: ``train.csv`` (``ID,Label``) with ``train_images/``, ``test.csv`` likewise.

A table may have a million rows: names lie in one array and not in a list, whose strings every
worker process would copy by counting their references.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from common.errors import DataError
from datamodules.images import IMAGE_SUFFIXES, read_image

if TYPE_CHECKING:
    import pandas as pd

UNLABELED = -1
AIDEA_NAMES = ("normal", "void", "horizontal", "vertical", "edge", "particle")
AIDEA_SIDE = 512  # px
# What each split is called, the first name in messages; "val" also in a table's column "split".
SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
FILE_COLUMNS = ("id", "filename", "file_name", "file", "image", "image_id", "path")
LABEL_COLUMNS = ("label", "class", "target", "category")
LAYOUTS = (
    "one folder per class, train/<class>/ with test/<class>/, a table of file names and labels "
    "(--data.table), or train.csv with train_images/; see docs/data.md"
)
_ENDING = "(?i:" + "|".join(re.escape(suffix) for suffix in IMAGE_SUFFIXES) + ")$"


class LabeledFiles(NamedTuple):
    """The images of one split.

    Args:
        where: the table or folder that they were found in, for messages.
        layout: what was understood, in words.
        folder: what ``names`` are relative to.
        names: paths of the files, an array of strings ``(N,)``.
        labels: classes as the disk has them, an array of strings ``(N,)``; empty where unknown.
    """

    where: Path
    layout: str
    folder: Path
    names: np.ndarray
    labels: np.ndarray

    @property
    def is_aidea(self) -> bool:
        """Whether this is AIdea's AOI set or a part of it: its layout, labels and image size."""
        if self.folder.name != "train_images" or not set(self.labels) <= set("012345"):
            return False
        shape = read_image(self.folder / str(self.names[0]), "L").shape
        return tuple(shape[-2:]) == (AIDEA_SIDE, AIDEA_SIDE)

    def class_names(self) -> list[str]:
        """Names of the classes in natural order: "class 3" for the label 3, AIdea's for AIdea."""
        if self.is_aidea:
            return list(AIDEA_NAMES)
        return sorted({_class_name(label) for label in set(self.labels)}, key=_natural)

    def targets(self, class_names: Sequence[str]) -> Tensor:
        """Position of each image's class in ``class_names``, int64 ``(N,)``; or ``UNLABELED``.

        Labels that are numbers but no names stand for positions.

        Raises:
            DataError: a label that is none of the classes; labels in part of the images only.
        """
        positions = {name: position for position, name in enumerate(class_names)}
        labels = sorted(set(self.labels), key=_natural)
        numbers = not any(_class_name(label) in positions for label in labels)
        position_of = {}
        for label in labels:
            number = int(label[:9]) if numbers and _is_number(label) else len(class_names)
            position_of[label] = positions.get(_class_name(label), number)
            if label and position_of[label] >= len(class_names):
                name = self.names[np.flatnonzero(self.labels == label)[0]]
                raise DataError(
                    f"{self.where}: label {label[:20]!r} of {name} is none of the classes "
                    f"({in_words(class_names)}); the names are the model's or --data.class_names"
                )
        if "" in position_of and len(position_of) > 1:
            raise DataError(
                f"{self.where}: some rows have a label and some have none; fill or empty them all"
            )
        position_of |= {"": UNLABELED} if "" in position_of else {}
        return torch.tensor([position_of[label] for label in self.labels])


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _class_name(label: str) -> str:
    return f"class {int(label[:9])}" if _is_number(label) else label


def _natural(text: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", text)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part.lower()) for part in parts]


def in_words(names: Sequence[str]) -> str:
    """Names for a message, of which the middle is left out where they are many."""
    shown = list(names) if len(names) <= 12 else [*names[:9], "...", *names[-2:]]
    return ", ".join(shown)


def name_array(names: Sequence[str]) -> np.ndarray:
    """Strings ``(N,)`` without a Python object for each."""
    return np.array(names, dtype=np.dtypes.StringDType())


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
    if path is not None and path.stem.lower() in SPLITS["train"] and table is None:
        tables = [path.with_name(f"{name}{path.suffix}") for name in SPLITS[split]]
        found = next((one for one in tables if one.is_file()), None)
        return None if found is None else _from_table(data_dir, found, columns, split, own=True)
    if path is not None:
        return _from_table(data_dir, path, columns, split, own=False)
    return _from_folders(data_dir, split)


def _find_table(data_dir: Path, table: str | None, columns: Sequence[str] | None) -> Path | None:
    if table is not None:
        given = Path(table).expanduser()
        path = given if given.is_absolute() or given.is_file() else data_dir / given
        if not path.is_file():
            raise DataError(f"{path}: no such file (data.table)")
        return path
    tables = sorted(p for p in data_dir.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".txt"))
    for path in tables:
        if path.stem.lower() in SPLITS["train"]:
            return path
    if (data_dir / "train_images").is_dir() and not columns:
        raise DataError(f"{data_dir / 'train.csv'}: no such file, but there is train_images/")
    usable = [path for path in tables if columns or _columns(_header(path)[1], None)]
    if len(usable) > 1:
        names = ", ".join(path.name for path in usable)
        raise DataError(f"{data_dir}: several tables ({names}); choose one with --data.table")
    return usable[0] if usable else None


def _header(path: Path) -> tuple[str, list[str]]:
    """Separator and column names of a table."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as UTF-8") from None
    separator = max(",;\t", key=line.count)
    return separator, [name.strip().strip('"') for name in line.split(separator)]


def _columns(header: Sequence[str], columns: Sequence[str] | None) -> list[str] | None:
    """The columns of file names and labels; None where they are not clear."""
    if columns:
        return list(columns) if set(columns) <= set(header) else None
    found = [[h for h in header if h.lower() in names] for names in (FILE_COLUMNS, LABEL_COLUMNS)]
    return [names[0] for names in found] if all(len(names) == 1 for names in found) else None


def read_table(path: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Columns ``name``, ``label`` and, where there is one, ``split``; the index is line numbers.

    UTF-8 with or without BOM; commas, semicolons or tabs.

    Raises:
        DataError: it cannot be read, has not the columns or no rows; an empty name, a name twice.
    """
    import pandas as pd

    separator, header = _header(path)
    chosen = _columns(header, columns)
    if chosen is None or len(chosen) != 2:
        raise DataError(
            f"{path}: which of its columns ({', '.join(header)}) are file names and labels? "
            "give --data.columns [NAME,LABEL]"
        )
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            na_filter=False,
            encoding="utf-8-sig",
            skip_blank_lines=False,
            index_col=False,
        )
    except (OSError, ValueError) as error:  # of pandas' parser, of the encoding
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a table ({reason}); save it as UTF-8 CSV") from None
    frame.columns = frame.columns.str.strip()
    splits = [name for name in header if name.lower() == "split"]
    frame = frame[[*chosen, *splits]]
    frame.columns = pd.Index(["name", "label", "split"][: 2 + len(splits)])
    frame = frame.apply(lambda values: values.str.strip())
    frame.index += 2
    frame = frame[(frame != "").any(axis=1)]
    if frame.empty:
        raise DataError(f"{path}: holds no rows")
    for line in frame.index[frame["name"] == ""]:
        raise DataError(f"{path}, line {line}: the {chosen[0]} is empty")
    for line in frame.index[frame["name"].duplicated()]:
        raise DataError(f"{path}, line {line}: {frame['name'][line]} is listed twice")
    return frame


def _from_table(
    data_dir: Path, path: Path, columns: Sequence[str] | None, split: str, own: bool
) -> LabeledFiles | None:
    frame = read_table(path, columns)
    layout = f"table {path.name}"
    if own:
        layout += " of this split"
    elif "split" in frame:
        known = {name: kind for kind, names in SPLITS.items() for name in names}
        kinds = frame["split"].str.lower().map(known)
        for line in frame.index[kinds.isna()]:
            given = frame["split"][line]
            raise DataError(f"{path}, line {line}: split {given!r}; give train, val or test")
        frame, layout = frame[kinds == split], f"{layout} with its splits"
    elif split != "train":
        return None
    if frame.empty:
        return None
    if split == "train":
        for line in frame.index[frame["label"] == ""]:
            raise DataError(f"{path}, line {line}: no label of {frame['name'][line]}; give one")
    folder = data_dir
    if own and (data_dir / f"{split}_images").is_dir():  # AIdea
        folder, layout = data_dir / f"{split}_images", "AIdea layout"
    names = _files_of(path, frame["name"], folder)
    labels = name_array(frame["label"].tolist())
    return LabeledFiles(path, layout, folder, names, labels)


def _files_of(path: Path, listed: "pd.Series", folder: Path) -> np.ndarray:
    """Path of each listed image below ``folder``: as listed, without folder, without ending."""
    import pandas as pd

    files = pd.Series(_images_below(folder), dtype=str)
    listed = listed.str.replace("\\", "/").str.removeprefix(f"{folder.as_posix()}/")
    best: tuple[pd.Series, pd.Series] | None = None
    for shorten in (
        lambda names: names,
        lambda names: names.str.replace(_ENDING, "", regex=True),
        lambda names: names.str.rsplit("/", n=1).str[-1],
        lambda names: names.str.rsplit("/", n=1).str[-1].str.replace(_ENDING, "", regex=True),
    ):
        known = pd.Series(files.to_numpy(), index=shorten(files))
        keys = shorten(listed)
        missing = ~keys.isin(known.index)
        if best is None or missing.sum() < best[0].sum():
            best = missing, keys
        if not missing.any():
            break
    assert best is not None
    if best[0].any():
        raise DataError(
            f"{folder}: {best[0].sum():,} of the {len(listed):,} images listed in {path.name} are "
            f"missing, first {listed[best[0]].iloc[0]}; add them or remove their rows"
        )
    twice = known.index[known.index.duplicated()].intersection(keys)
    if len(twice):
        both = " and ".join(known[[twice[0]]].tolist()[:2])
        raise DataError(f"{path}: {twice[0]} may be {both}; list names with their folders")
    return name_array(known[keys].tolist())


def _images_below(folder: Path) -> list[str]:
    """Paths of all images below, sorted, hidden ones and folders passed over."""
    found = []
    for top, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        images = [n for n in files if n.lower().endswith(IMAGE_SUFFIXES) and n[0] != "."]
        found += [Path(top, name).relative_to(folder).as_posix() for name in images]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror})")


def _from_folders(data_dir: Path, split: str) -> LabeledFiles | None:
    there = {path.name.lower(): path for path in data_dir.iterdir() if path.is_dir()}
    tops = {
        kind: next((there[name] for name in names if name in there), None)
        for kind, names in SPLITS.items()
    }
    if tops["train"] is None:
        tops = {"train": data_dir, "val": None, "test": tops["test"]}
    top = tops[split]
    if top is None:
        return None
    left_out = {"test", "testing"} if top == data_dir else set()
    paths = [name for name in _images_below(top) if name.split("/")[0].lower() not in left_out]
    classes = {name.split("/")[0] if "/" in name else "" for name in paths}
    unlabeled = split == "test" and classes == {""}
    if not paths or ("" in classes and not unlabeled):
        what = f"{paths[0]} lies in no class folder" if paths else "no images in class folders"
        raise DataError(f"{top}: {what}; data_dir holds {LAYOUTS}")
    paths.sort(key=lambda name: (_natural(name.split("/")[0]), name))
    labels = name_array([name.split("/")[0] if "/" in name else "" for name in paths])
    names = name_array([(top / name).relative_to(data_dir).as_posix() for name in paths])
    given = ", ".join(f"{path.name}/" for path in tops.values() if path not in (None, data_dir))
    layout = f"one folder per class{' in ' if given else ''}{given}"
    return LabeledFiles(top, layout, data_dir, names, labels)


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
