"""Reading CSV files, with errors that name file and line."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from common.errors import DataError


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and stripped values of ``columns``, row by row; blank lines are passed over.

    The file is UTF-8, with or without a byte order mark, and ends its lines as any system does.

    Raises:
        DataError: the file cannot be read; a column is missing; a row with more or fewer values
            than columns; another encoding, a NUL byte or an unbalanced quote.
    """
    rows = _rows(path)
    header = [name.strip() for name in next(rows, (1, []))[1]]
    missing = sorted(set(columns) - set(header))
    if missing:
        expected = ",".join(columns)
        raise DataError(f"{path}: no column {' or '.join(missing)}; expected {expected}")
    positions = [header.index(name) for name in columns]
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} values for {len(header)} columns")
        yield line, [row[position].strip() for position in positions]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(path), strict=True)
    line = 1  # where the present row begins: a quoted value may hold line breaks
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}; look for an unbalanced quote") from None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _lines(path: Path) -> Iterator[str]:
    # Decoded line by line, so that an error knows its line.
    with _opened(path) as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: not UTF-8; save it as UTF-8") from None
            if "\0" in line:
                raise DataError(f"{path}, line {number}: a NUL byte; save it as UTF-8 text")
            yield line
