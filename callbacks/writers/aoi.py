"""Predicted classes of AOI images."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from callbacks.writers.prediction_writer import PredictionWriter, Row
from common.ranges import HalfOpenUnitInterval
from datamodules.aoi_files import label_numbers
from experiment.atomic import write_table
from experiment.checkpoints import read_checkpoint
from lit_models.postprocessing.defects import review_threshold
from lit_models.postprocessing.ensemble import Ensemble

log = logging.getLogger(__name__)


class AOIWriter(PredictionWriter):
    """Tables of the predicted images.

    - ``predictions.csv``: ``ID,Label``, as AIdea takes it: numbers, see `label_numbers`.
    - ``probabilities.csv``: name of the class, confidence, and the probability of each class.
    - ``review.csv``: the images to look at again, the least confident first. Their confidence lies
      below that which keeps the error of the validation images above it within ``max_error``. Only
      where `TemperatureScaling` left it in the checkpoint.

    Args:
        max_error: greatest share of errors among the images that nobody looks at again.
    """

    columns = ("ID", "Label")

    def __init__(self, max_error: HalfOpenUnitInterval = 0.01) -> None:
        super().__init__()
        self.max_error = max_error
        self._threshold: float | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_start(trainer, pl_module)
        self._threshold = None
        path = getattr(trainer, "ckpt_path", None)
        trained = read_checkpoint(path) if path else None
        kept = trained and trained.callbacks.get("TemperatureScaling")
        if trained is None or not kept:
            return
        of_fit = trained.model.get("inference") or {}
        inference: Any = pl_module.inference
        tta, temperature = bool(of_fit.get("tta")), of_fit.get("temperature")
        if isinstance(pl_module.network, Ensemble):
            log.info("no review.csv: how sure an ensemble is of held-out images is not known")
        elif (tta, temperature) != (inference.tta, inference.temperature):
            log.info("no review.csv: its threshold is for the checkpoint's temperature and tta")
        else:
            held_out = kept["confidence"], kept["correct"]
            self._threshold = review_threshold(*held_out, self.max_error)

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """Rows of name, label, confidence, and a probability for each class."""
        probabilities = prediction["probabilities"].float().cpu()
        confidence, labels = probabilities.max(dim=1)
        columns = (labels.tolist(), confidence.tolist(), probabilities.tolist())
        return [
            (name, label, sure, *row)
            for name, label, sure, row in zip(prediction["name"], *columns, strict=True)
        ]

    def write_tables(self, folder: Path, rows: list[Row], pl_module: Any) -> None:
        names = pl_module.hparams["class_names"]
        number = label_numbers(names)
        super().write_tables(folder, [(row[0], number[row[1]]) for row in rows], pl_module)
        write_table(
            folder / "probabilities.csv",
            ("ID", "label", "confidence", *names),
            [(name, names[label], *(f"{p:.6f}" for p in row)) for name, label, *row in rows],
        )
        if self._threshold is None:
            return
        doubtful = sorted(
            (sure, name, names[label]) for name, label, sure, *_ in rows if sure < self._threshold
        )
        write_table(
            folder / "review.csv",
            ("ID", "label", "confidence"),
            [(name, label, f"{sure:.6f}") for sure, name, label in doubtful],
        )
        log.info(
            "review.csv: %d of %d images, of a confidence below %.4f, above which %.3g %% of the "
            "validation images were wrong or fewer",
            len(doubtful),
            len(rows),
            self._threshold,
            100 * self.max_error,
        )
