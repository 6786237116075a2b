"""Base class of the prediction writers."""

from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from callbacks.gather import gather
from callbacks.run_recorder import run_folder
from experiment.atomic import write_table

Row = tuple[Any, ...]


class PredictionWriter(BasePredictionWriter):
    """Files of each image as it is predicted, and at the end ``predictions.csv``, a row an image.

    Rows are in the order of the data set, each image once, however many processes took part. A
    subclass names its columns and writes the files of a batch. All goes to the prediction's own
    folder, see `RunRecorder`.
    """

    columns: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._rows: list[tuple[int, Row]] = []

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """Write the files of a batch.

        Args:
            folder: of the prediction.
            prediction: what ``predict_step`` returned; ``name`` and ``index`` in all tasks.
            pl_module: the module that predicts.

        Returns:
            A row for each image, as `columns` has it.
        """
        raise NotImplementedError

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rows = []

    def write_on_batch_end(  # type: ignore[override]
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, prediction: Any, *_: Any
    ) -> None:
        rows = self.write(run_folder(trainer), prediction, pl_module)
        self._rows += zip(prediction["index"].tolist(), rows, strict=True)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        rows = [row for _, row in sorted(gather(trainer, self._rows), key=lambda pair: pair[0])]
        if trainer.is_global_zero:
            self.write_tables(run_folder(trainer), rows, pl_module)
            many = "s" * (len(rows) != 1)
            print(f"{len(rows)} prediction{many}: {run_folder(trainer)}", flush=True)

    def write_tables(self, folder: Path, rows: list[Row], pl_module: Any) -> None:
        """Write ``predictions.csv``; for rank 0."""
        write_table(folder / "predictions.csv", self.columns, rows)


def output_stem(name: str) -> str:
    """``sub/image.tif`` to ``sub/image``, below the prediction's folder."""
    return Path(name).with_suffix("").as_posix()
