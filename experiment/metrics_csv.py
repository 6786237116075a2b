"""``metrics.csv``: what training logged, whole after every crash."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from experiment.atomic import atomic_write, writing
from experiment.run_results import Row, read_metrics


class MetricsCSV(Logger):
    """Logs to ``<folder>/metrics.csv``, and goes on with the one that is there.

    Lightning's own CSVLogger deletes the file that it finds and writes a new header over all rows
    in place. Rows are sparse: an empty cell was not logged.
    """

    def __init__(self, folder: Path, rows_to_buffer: int = 100) -> None:
        super().__init__()
        self.folder = folder
        self.rows_to_buffer = rows_to_buffer
        self._rows: list[Row] = []
        self._header: list[str] | None = None

    # Lightning puts checkpoints into <save_dir>/<name>/<version>/checkpoints.
    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.folder / "metrics.csv"

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: the run's ``config.yaml`` has them all."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        values = {name: getattr(v, "item", lambda v=v: v)() for name, v in metrics.items()}
        self._rows.append({**values, "step": step})
        if len(self._rows) >= self.rows_to_buffer:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write what is buffered.

        Raises:
            DataError: the file system refuses, as a full disk does.
        """
        if not self._rows:
            return
        if self._header is None:
            self._header = read_metrics(self.path)[0]
        header = sorted({*self._header, *(name for row in self._rows for name in row)})
        if header == self._header:
            text = _table(header, self._rows, with_header=False)
            with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        else:
            self._write(header, [*read_metrics(self.path)[1], *self._rows])
        self._rows = []

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    @rank_zero_only
    def keep_epochs(self, count: int) -> None:
        """Drop what was logged after the first ``count`` epochs, and a line that was cut off.

        That is what a killed run logged after its last checkpoint; the resumed run logs it again.
        """
        self._rows = []
        if not self.path.exists():
            return
        header, rows = read_metrics(self.path)
        # Some rows have no epoch, such as the learning rate's; an epoch's last row has one.
        ends = [i for i, row in enumerate(rows) if row.get("epoch") and int(row["epoch"]) < count]
        self._write(header, rows[: ends[-1] + 1] if ends else [])

    def _write(self, header: list[str], rows: list[Row]) -> None:
        with atomic_write(self.path) as tmp_path:
            tmp_path.write_text(_table(header, rows), encoding="utf-8", newline="")
        self._header = header


def _table(header: list[str], rows: list[Row], with_header: bool = True) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=header, lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
