"""Base class of the prediction writers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from callbacks.gather import gather
from callbacks.run_recorder import run_folder
from experiment.atomic import write_table

Row = Sequence[Any]


class PredictionWriter(BasePredictionWriter):
    """Files of each image as it is predicted, and tables at the end, ``predictions.csv`` and more.

    Rows are in the order of the data set, each image once, however many processes took part. A
    subclass writes the files of a batch. All goes to the prediction's own folder, see
    `RunRecorder`.

    Attributes:
        headers: column names by table. A table without rows is left out, but ``predictions``.
    """

    headers: dict[str, Sequence[str]]

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._rows: list[tuple[int, str, Row]] = []

    def write(
        self, folder: Path, prediction: dict[str, Any], pl_module: Any
    ) -> Iterator[tuple[int, str, Row]]:
        """Write the files of a batch.

        Args:
            folder: of the prediction.
            prediction: what ``predict_step`` returned; ``name`` and ``index`` in all tasks.
            pl_module: the module that predicts.

        Yields:
            Rows: position of the image in the batch, table, and cells as `headers` has them.
        """
        raise NotImplementedError

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rows = []

    def write_on_batch_end(  # type: ignore[override]
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: Any, *_: Any
    ) -> None:
        for i, table, row in self.write(run_folder(trainer), prediction, pl_module):
            self._rows.append((int(prediction["index"][i]), table, row))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        tables = dict[str, list[Row]](predictions=[])
        for _, table, row in sorted(gather(trainer, self._rows), key=lambda one: one[0]):
            tables.setdefault(table, []).append(row)
        if trainer.is_global_zero:
            self.write_tables(run_folder(trainer), tables)
            count = len(tables["predictions"])
            print(f"{count} prediction{'s' * (count != 1)}: {run_folder(trainer)}", flush=True)

    def write_tables(self, folder: Path, tables: dict[str, list[Row]]) -> None:
        """Write a CSV file of each table; for rank 0."""
        for name, rows in tables.items():
            write_table(folder / f"{name}.csv", self.headers[name], rows)


def output_stem(name: str) -> str:
    """``sub/image.tif`` to ``sub/image``, below the prediction's folder."""
    return Path(name).with_suffix("").as_posix()
