"""Tables of file names and labels, and the files that they name."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.errors import DataError
from datamodules.images import list_images

FILE_COLUMNS = ("id", "filename", "file_name", "file", "image", "image_id", "path")
LABEL_COLUMNS = ("label", "class", "target", "category")


class Row(NamedTuple):
    """A row of a table, all as text; ``line`` is its number in the file, for messages."""

    line: int
    name: str
    label: str
    split: str


def read_header(
    path: Path, columns: Sequence[str] | None = None
) -> tuple[str, list[str], list[str] | None]:
    """Separator and columns of a table, and those of names and labels; None if not clear."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as UTF-8") from None
    separator = max(",;\t", key=line.count)
    header = [name.strip().strip('"') for name in line.split(separator)]
    kinds = [[name] for name in columns] if columns else [FILE_COLUMNS, LABEL_COLUMNS]
    found = [[h for h in header if h in names or h.lower() in names] for names in kinds]
    clear = len(found) == 2 and all(len(names) == 1 for names in found)
    return separator, header, [names[0] for names in found] if clear else None


def read_table(path: Path, columns: Sequence[str] | None = None) -> list[Row]:
    """Rows of a CSV file: UTF-8 with or without BOM; commas, semicolons or tabs.

    Args:
        path: the file.
        columns: its columns of file names and labels; None finds them by their names. A column
            ``split`` is found likewise.

    Raises:
        DataError: it cannot be read, or lacks the columns or rows; a name is empty or listed twice.
    """
    separator, header, chosen = read_header(path, columns)
    if chosen is None:
        needed = ", ".join(columns or ["file names and labels: --data.columns [NAME,LABEL]"])
        raise DataError(f"{path}: has the columns {', '.join(header)}; needs {needed}")
    split = next((name for name in header if name.lower() == "split"), "")
    rows: dict[str, Row] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            next(file)
            reader = csv.DictReader(file, header, delimiter=separator, restval="", strict=True)
            for values in reader:
                line = reader.line_num + 1
                if None in values:
                    raise csv.Error(f"line {line} is longer than the header")
                name, label, part = (values.get(key, "").strip() for key in (*chosen, split))
                if not name and label:
                    raise DataError(f"{path}, line {line}: the {chosen[0]} is empty")
                if name in rows:
                    raise DataError(f"{path}, line {line}: {name} is listed twice")
                if name:
                    rows[name] = Row(line, name, label, part)
    except (OSError, ValueError, csv.Error) as error:  # or the encoding
        raise DataError(f"{path}: not a table ({error}); save it as UTF-8 CSV") from None
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return list(rows.values())


def files_of(path: Path, listed: Sequence[str], folder: Path) -> list[str]:
    """Path of each listed image below ``folder``; a name may lack its folder and its ending.

    Raises:
        DataError: images are missing, or a name may be several of them.
    """
    whole, bare = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for image in list_images(folder, recursive=True):
        file = image.relative_to(folder)
        for key in (file, file.with_suffix("")):
            whole[key.as_posix()].append(file.as_posix())
            bare[key.name].append(file.as_posix())
    names = [name.replace("\\", "/").removeprefix(f"{folder.as_posix()}/") for name in listed]
    found = [whole.get(name) or bare.get(name.rpartition("/")[2], []) for name in names]
    missing = [name for name, files in zip(names, found, strict=True) if not files]
    if missing:
        raise DataError(
            f"{folder}: {len(missing):,} of the {len(names):,} images listed in {path.name} are "
            f"missing, first {missing[0]}; add them or remove their rows"
        )
    for name, files in zip(names, found, strict=True):
        if len(files) > 1:
            both = " and ".join(files[:2])
            raise DataError(f"{path}: {name} may be {both}; list names with their folders")
    return [files[0] for files in found]
