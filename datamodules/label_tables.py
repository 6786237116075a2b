"""Tables of file names and labels, and the files that they name."""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import DataError
from datamodules.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    import pandas as pd

FILE_COLUMNS = ("id", "filename", "file_name", "file", "image", "image_id", "path")
LABEL_COLUMNS = ("label", "class", "target", "category")
_ENDING = "(?i:" + "|".join(re.escape(suffix) for suffix in IMAGE_SUFFIXES) + ")$"


def name_array(names: Sequence[str]) -> np.ndarray:
    """Strings ``(N,)`` without a Python object for each, where all of them are Unicode."""
    try:
        return np.array(names, dtype=np.dtypes.StringDType())
    except UnicodeEncodeError:  # a file name in another encoding
        return np.array(names, dtype=object)


def read_header(path: Path) -> tuple[str, list[str]]:
    """Separator and column names of a table."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            line = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as UTF-8") from None
    separator = max(",;\t", key=line.count)
    return separator, [name.strip().strip('"') for name in line.split(separator)]


def choose_columns(header: Sequence[str], columns: Sequence[str] | None) -> list[str] | None:
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

    separator, header = read_header(path)
    chosen = choose_columns(header, columns)
    if chosen is None or len(chosen) != 2:
        raise DataError(
            f"{path}: which of its columns ({', '.join(header)}) are file names and labels? "
            "give --data.columns [NAME,LABEL]"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            as_text = {"dtype": str, "na_filter": False, "encoding": "utf-8-sig"}
            lines = {"skip_blank_lines": False, "index_col": False}
            frame = pd.read_csv(path, sep=separator, **as_text, **lines)
    except (OSError, ValueError, pd.errors.ParserWarning) as error:  # or the encoding
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


def files_of(path: Path, listed: "pd.Series", folder: Path) -> np.ndarray:
    """Path of each listed image below ``folder``: as listed, without folder, without ending."""
    import pandas as pd

    files = pd.Series(images_below(folder), dtype=str)
    listed = listed.str.replace("\\", "/").str.removeprefix(f"{folder.as_posix()}/")
    bare, bare_listed = (names.str.rsplit("/", n=1).str[-1] for names in (files, listed))
    pairs = [(files, listed), _stems(files, listed), (bare, bare_listed), _stems(bare, bare_listed)]
    missing = [~keys.isin(known) for known, keys in pairs]
    best = min(range(len(pairs)), key=lambda i: missing[i].sum())
    if missing[best].any():
        raise DataError(
            f"{folder}: {missing[best].sum():,} of the {len(listed):,} images listed in "
            f"{path.name} are missing, first {listed[missing[best]].iloc[0]}; add them or remove "
            "their rows"
        )
    known, keys = pd.Series(files.to_numpy(), index=pairs[best][0]), pairs[best][1]
    twice = known.index[known.index.duplicated()].intersection(keys)
    if len(twice):
        both = " and ".join(known[[twice[0]]].tolist()[:2])
        raise DataError(f"{path}: {twice[0]} may be {both}; list names with their folders")
    return name_array(known[keys].tolist())


def _stems(*names: "pd.Series") -> "list[pd.Series]":
    return [one.str.replace(_ENDING, "", regex=True) for one in names]


def images_below(folder: Path) -> list[str]:
    """Paths of all images below, sorted, hidden ones and folders passed over."""
    found = []
    for top, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        images = [n for n in files if n.lower().endswith(IMAGE_SUFFIXES) and n[0] != "."]
        found += [Path(top, name).relative_to(folder).as_posix() for name in images]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be listed ({error.strerror})")
