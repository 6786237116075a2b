"""Predicted classes of AOI images."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from callbacks.writers.prediction_writer import PredictionWriter, Row
from common.ranges import HalfOpenUnitInterval
from datamodules.aoi_files import label_numbers
from experiment.atomic import write_table
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

    columns = ("ID", "Label")

    def __init__(self, max_error: HalfOpenUnitInterval = 0.01) -> None:
        super().__init__()
        self.max_error = max_error
        self._threshold: float | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        super().on_predict_start(trainer, pl_module)
        self._threshold = None
        path = getattr(trainer, "ckpt_path", None)
        trained = read_checkpoint(path) if path else None
        kept = trained and trained.callbacks.get("TemperatureScaling")
        if trained is None or not kept:
            return
        if isinstance(pl_module.network, Ensemble):
            log.info("no review.csv: how sure an ensemble is of held-out images is not known")
        elif DefectPostprocessor(**(trained.model.get("inference") or {})) != pl_module.inference:
            log.info("no review.csv: its threshold is for the checkpoint's temperature and tta")
        else:
            held_out = kept["confidence"], kept["correct"]
            self._threshold = review_threshold(*held_out, self.max_error)

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """Rows of name, label, ``[confidence, unknown]`` as far as known, and probabilities."""
        probabilities = prediction["probabilities"].float().cpu()
        confidence, labels = probabilities.max(dim=1)
        known = [confidence, *([prediction["unknown"].cpu()] if "unknown" in prediction else [])]
        columns = labels.tolist(), torch.stack(known, dim=1).tolist(), probabilities.tolist()
        return list(zip(prediction["name"], *columns, strict=True))

    def write_tables(self, folder: Path, rows: list[Row], pl_module: Any) -> None:
        names = pl_module.hparams["class_names"]
        number = label_numbers(names)
        super().write_tables(folder, [(row[0], number[row[1]]) for row in rows], pl_module)
        detector = getattr(pl_module, "unknown", None)
        header = ["ID", "label", "confidence", *(["unknown"] if detector else [])]
        table, review = [], []
        for name, label, known, probabilities in rows:
            cells = [name, names[label], *(f"{value:.6f}" for value in known)]
            table.append([*cells, *(f"{p:.6f}" for p in probabilities)])
            reasons = {
                "confidence": self._threshold is not None and known[0] < self._threshold,
                "unknown": detector and known[1] > detector.threshold,
            }
            if any(reasons.values()):
                review.append((known[0], [*cells, " ".join(r for r in reasons if reasons[r])]))
        write_table(folder / "probabilities.csv", [*header, *names], table)
        if self._threshold is None and not detector:
            return
        lines = [cells for _, cells in sorted(review)]
        write_table(folder / "review.csv", [*header, "reason"], lines)
        log.info("review.csv: %d of %d images", len(lines), len(rows))
        if self._threshold is not None:
            log.info(
                "below a confidence of %.4f, above which %.3g %% of the validation images or fewer "
                "were wrong",
                self._threshold,
                100 * self.max_error,
            )
        if detector:
            log.info("unknown: above %.3f, as few of the validation images are", detector.threshold)
