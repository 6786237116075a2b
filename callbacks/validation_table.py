"""Scores of each validation image as a table."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from callbacks.gather import gather
from callbacks.run_recorder import run_folder
from experiment.atomic import write_table
from experiment.run_results import IMAGE_TABLE


class ValidationTable(Callback):
    """Writes ``validation_images.csv`` in ``validate``: ``ID`` and the scores of each image.

    ``validation_step`` returns ``scores``, values ``(N,)`` by name; without them there is no table.
    Batches have ``name`` and ``index``. Cross-validation pools these tables.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[int, dict[str, str]]] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rows = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        scores = outputs.get("scores") if isinstance(outputs, dict) else None
        if trainer.state.fn != "validate" or not scores:
            return
        for i, (index, name) in enumerate(zip(batch["index"].tolist(), batch["name"], strict=True)):
            row = {column: f"{float(values[i]):.6g}" for column, values in scores.items()}
            self._rows.append((index, {"ID": name, **row}))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "validate":
            return
        rows = sorted(gather(trainer, self._rows), key=lambda row: row[0])
        if rows and trainer.is_global_zero:
            table = [list(row.values()) for _, row in rows]
            write_table(run_folder(trainer) / IMAGE_TABLE, list(rows[0][1]), table)
