"""Files that are written completely or not at all."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

from PIL import Image, PngImagePlugin

from common.errors import DataError

HALF = ".half-"
FORMULA = re.compile(r"[=+\-@\t\r](?![\d.]+(e[+-]?\d+)?$)")  # no signed number


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an error of the operating system in the block into one line about ``path``.

    Raises:
        DataError: the disk is full, a folder is read-only, a parent is a file, ...
    """
    try:
        yield
    except OSError as error:
        line = f"{path}: cannot be written ({error.strerror}); choose another folder"
        raise DataError(line) from None


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffix), renamed to ``path`` if nothing fails.

    Makes the parent folder. On an error ``path`` keeps its old content and nothing is left over.

    Raises:
        DataError: the file system refuses.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        tmp_path = path.with_name(f"{HALF}{path.stem[:40]}-{uuid4().hex[:8]}{path.suffix}")
        tmp_path.touch(exist_ok=False)  # not mkstemp's mode, but what the umask says
        try:
            yield tmp_path
            tmp_path.replace(path)
        finally:
            tmp_path.unlink(missing_ok=True)


def write_images(
    folder: Path, pictures: Mapping[str, Any], text: Mapping[str, str] | None = None
) -> None:
    """Write arrays, uint8 or uint16 ``(H, W)`` or uint8 ``(H, W, 3)``, by their files' names.

    Args:
        folder: of the files.
        pictures: arrays by name.
        text: text chunks of PNG files.
    """
    chunks = PngImagePlugin.PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_text(keyword, value)
    for name, pixels in pictures.items():
        with atomic_write(folder / name) as tmp_path:
            Image.fromarray(pixels).save(tmp_path, pnginfo=chunks)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8; a kill leaves the old file intact."""
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file, completely or not at all; cells go through `csv_cell`."""
    with (
        atomic_write(path) as tmp_path,
        tmp_path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([csv_cell(cell) for cell in row] for row in chain([header], rows))


def csv_cell(cell: Any) -> Any:
    """``cell``, behind an apostrophe where a spreadsheet would run it as a formula."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes; no other process may be writing there."""
    for tmp_path in folder.rglob(f"{HALF}*"):
        tmp_path.unlink(missing_ok=True)
