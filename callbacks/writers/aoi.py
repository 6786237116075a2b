"""Predicted classes of AOI images."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from callbacks.writers.prediction_writer import PredictionWriter, Row
from common.ranges import HalfOpenUnitInterval
from datamodules.aoi_files import label_numbers
from experiment.checkpoints import read_checkpoint
from lit_models.postprocessing.defects import DefectPostprocessor, review_threshold
from lit_models.postprocessing.ensemble import Ensemble

log = logging.getLogger(__name__)


class AOIWriter(PredictionWriter):
    """Tables of the predicted images.

    - ``predictions.csv``: ``ID,Label``, as AIdea takes it: numbers, see `label_numbers`.
    - ``probabilities.csv``: name of the class, confidence, ``unknown`` where `UnknownDetection` was
      fitted, and the probability of each class.
    - ``review.csv``: the images to look at again, the least confident first, and the ``reason``:
      "confidence", where it lies below that which keeps the error of the validation images above it
      within ``max_error``; "unknown", where the image is unlike those in training.

    Args:
        max_error: greatest share of errors among the images that nobody looks at again.
    """

    def __init__(self, max_error: HalfOpenUnitInterval = 0.01) -> None:
        super().__init__()
        self.max_error = max_error
        self._threshold = -math.inf

    def on_predict_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        super().on_predict_start(trainer, pl_module)
        names, unknown = pl_module.hparams["class_names"], getattr(pl_module, "unknown", None)
        columns = ["ID", "label", "confidence", *(["unknown"] if unknown else []), *names]
        self.headers = {"predictions": ("ID", "Label"), "probabilities": columns}
        self._threshold = -math.inf
        trained = read_checkpoint(trainer.ckpt_path) if trainer.ckpt_path else None
        kept = trained and trained.callbacks.get("TemperatureScaling")
        if trained is not None and kept:
            fitted_to = DefectPostprocessor(**(trained.model.get("inference") or {}))
            if fitted_to == pl_module.inference and not isinstance(pl_module.network, Ensemble):
                held_out = kept["confidence"], kept["correct"]
                self._threshold = review_threshold(*held_out, self.max_error)
            else:
                log.info("no confidence limit for review.csv: it is for one model at its settings")
        if unknown or self._threshold > -math.inf:
            self.headers["review"] = [*columns, "reason"]

    def write(
        self, folder: Path, prediction: dict[str, Any], pl_module: Any
    ) -> Iterator[tuple[int, str, Row]]:
        """Labels and probabilities of each image."""
        names, unknown = pl_module.hparams["class_names"], getattr(pl_module, "unknown", None)
        number = label_numbers(names)
        for i, name in enumerate(prediction["name"]):
            probabilities = prediction["probabilities"][i].float().tolist()
            confidence = max(probabilities)
            label = probabilities.index(confidence)
            yield i, "predictions", (name, number[label])
            score = [float(prediction["unknown"][i])] if unknown else []
            numbers = [f"{value:.6f}" for value in (confidence, *score, *probabilities)]
            yield i, "probabilities", (name, names[label], *numbers)
            reasons = ["confidence"] if confidence < self._threshold else []
            if unknown and score[0] > unknown.threshold:
                reasons.append("unknown")
            if reasons:
                yield i, "review", (name, names[label], *numbers, " ".join(reasons))

    def write_tables(self, folder: Path, tables: dict[str, list[Row]]) -> None:
        """The least confident image comes first in ``review.csv``."""
        if "review" in self.headers:
            review = tables["review"] = sorted(tables.get("review", []), key=lambda row: row[2])
            log.info("review.csv: %d of %d images", len(review), len(tables["predictions"]))
        super().write_tables(folder, tables)
