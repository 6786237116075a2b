"""``metrics.csv``: what training logged, whole after every crash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from experiment.atomic import write_text, writing
from experiment.run_results import read_metrics


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
        self.path = folder / "metrics.csv"
        self._columns: list[str] = []

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: the run's ``config.yaml`` has them all."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write a row.

        Raises:
            DataError: the file system refuses, as a full disk does.
        """
        import pandas as pd  # only what trains pays for it

        cells = {name: str(getattr(v, "item", lambda v=v: v)()) for name, v in metrics.items()}
        table = pd.DataFrame([cells | {"step": str(step)}])
        self._columns = self._columns or list(read_metrics(self.path))
        if {*table} <= {*self._columns}:
            with writing(self.path):
                row = table.reindex(columns=self._columns)
                row.to_csv(self.path, mode="a", header=False, index=False)
        else:
            self._write(pd.concat([read_metrics(self.path), table]).sort_index(axis=1))

    @rank_zero_only
    def keep_epochs(self, count: int) -> None:
        """Drop what was logged after the first ``count`` epochs, and a line that was cut off.

        That is what a killed run logged after its last checkpoint; the resumed run logs it again.
        """
        if self.path.exists():
            table = read_metrics(self.path)
            if "epoch" not in table:  # killed before the first row that has one
                table["epoch"] = ""
            # Some rows have no epoch, such as the learning rate's; an epoch's last row has one.
            kept = table["epoch"].replace("", "nan").astype(float) < count
            self._write(table[: kept[kept].index.max() + 1 if kept.any() else 0])

    def _write(self, table: Any) -> None:
        write_text(self.path, table.to_csv(index=False))
        self._columns = list(table)
