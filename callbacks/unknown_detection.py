"""Images unlike any in training are called unknown."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jsonargparse.typing import OpenUnitInterval, PositiveFloat

from callbacks.after_training import AfterTraining, held_out
from callbacks.feature_cache import over_images
from experiment.checkpoints import Checkpoint
from lit_models.postprocessing.defects import DefectPostprocessor
from lit_models.postprocessing.unknown import UnknownScore, nearest_distance

log = logging.getLogger(__name__)


class UnknownDetection(AfterTraining):
    """Fits `UnknownScore` after training; ``predict``, `inference.load` and exports then have it.

    Give it behind `TemperatureScaling`, whose temperature the confidence depends on. Networks need
    ``features(images)`` and ``head``.

    Args:
        false_alarms: share of the validation images that are called unknown.
        megabytes: of training features in the checkpoint; more images than that are drawn from.
    """

    def __init__(
        self, false_alarms: OpenUnitInterval = 0.05, megabytes: PositiveFloat = 2.0
    ) -> None:
        self.false_alarms, self.megabytes = false_alarms, megabytes

    def fit_to(self, trainer: pl.Trainer, pl_module: Any, checkpoint: Checkpoint) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        network = pl_module.network
        features, logits, _ = held_out(trainer, pl_module)
        if not features.numel():
            log.warning("unknown: not fitted, there are no validation images or no features")
            return {}
        settings = checkpoint.content["hyper_parameters"].get("inference") or {}
        probabilities = DefectPostprocessor(**settings).from_logits(logits).exp()
        if "train" in data.features:
            known = data.features["train"]
        else:
            (known,) = over_images(
                trainer, data.train_set, lambda batch: (network.features(batch["image"]),)
            )
        room = max(1, int(self.megabytes * 1e6 / 2 / known.shape[1]))  # 2 bytes a number
        drawn = torch.randperm(len(known), generator=torch.Generator().manual_seed(0))[:room]
        known = F.normalize(known[drawn.sort().values], dim=1).half()
        state = {
            "features": known,
            "doubts": 1 - probabilities.amax(dim=1),
            "distances": nearest_distance(known, features),
        }
        scores = UnknownScore(**state, threshold=1.0)(features, probabilities)
        threshold = float(scores.quantile(1 - self.false_alarms, interpolation="higher"))
        log.info(
            "%s: images are unknown above %.3f, as %d of %d validation images are",
            checkpoint.path.name,
            threshold,
            int((scores > threshold).sum()),
            len(scores),
        )
        return {**state, "threshold": threshold}
