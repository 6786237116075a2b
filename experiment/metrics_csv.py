"""``metrics.csv``: what training logged, whole after every crash."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from experiment.atomic import write_text, writing
from experiment.run_results import Row, read_metrics


class MetricsCSV(Logger):
    """Logs to ``<folder>/metrics.csv``, and goes on with the one that is there.

    Lightning's own CSVLogger deletes the file that it finds and writes a new header over all rows
    in place. Rows are sparse: an empty cell was not logged.
    """

    # Lightning puts checkpoints into <save_dir>/<name>/<version>/checkpoints.
    name = ""
    version = ""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._header: list[str] | None = None

    @property
    def save_dir(self) -> str:
        return str(self.folder)

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.folder / "metrics.csv"

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: the run's ``config.yaml`` has them all."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write a row.

        Raises:
            DataError: the file system refuses, as a full disk does.
        """
        row = {name: getattr(v, "item", lambda v=v: v)() for name, v in metrics.items()}
        row["step"] = step
        if self._header is None:
            self._header = read_metrics(self.path)[0]
        if row.keys() <= {*self._header}:
            line = _table(self._header, [row]).partition("\n")[2]
            with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(line)
        else:
            self._write(sorted({*self._header, *row}), [*read_metrics(self.path)[1], row])

    @rank_zero_only
    def keep_epochs(self, count: int) -> None:
        """Drop what was logged after the first ``count`` epochs, and a line that was cut off.

        That is what a killed run logged after its last checkpoint; the resumed run logs it again.
        """
        if self.path.exists():
            header, rows = read_metrics(self.path)
            # Some rows have no epoch, such as the learning rate's; an epoch's last row has one.
            ends = [i for i, r in enumerate(rows) if r.get("epoch") and int(r["epoch"]) < count]
            self._write(header, rows[: ends[-1] + 1] if ends else [])

    def _write(self, header: list[str], rows: list[Row]) -> None:
        write_text(self.path, _table(header, rows))
        self._header = header


def _table(header: list[str], rows: list[Row]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
