"""Predicted labels as CSV files."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BasePredictionWriter

from callbacks.atomic import atomic_write
from callbacks.gather import gather_in_order


class LabelWriter(BasePredictionWriter):
    """Writes ``predictions.csv`` (``ID,Label``) and ``probabilities.csv`` into the run folder.

    Rows stand in the order of ``test.csv``, or of the file names in a plain folder; every image
    once, however many processes took part.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="epoch")

    def write_on_epoch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        indices, probabilities = gather_in_order(trainer, predictions, index=0)
        folder = Path(trainer.default_root_dir)
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        names = [data.predict_set.paths[index].name for index in indices.tolist()]
        labels = probabilities.argmax(dim=1).tolist()
        self._write(folder / "predictions.csv", ["ID", "Label"], zip(names, labels, strict=True))
        rounded = (
            [name, *(f"{p:.6f}" for p in row)]
            for name, row in zip(names, probabilities.tolist(), strict=True)
        )
        self._write(folder / "probabilities.csv", ["ID", *data.class_names], rounded)
        print(f"{len(names)} predictions: {folder / 'predictions.csv'}")

    @staticmethod
    def _write(path: Path, header: list[str], rows: Any) -> None:
        with atomic_write(path) as half, half.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
