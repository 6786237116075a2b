"""What vessel maps are scored by; `VesselSegmenter` and the benchmark use the same."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryAUROC,
    BinaryConfusionMatrix,
    BinaryF1Score,
    BinaryJaccardIndex,
    BinaryRecall,
    BinarySpecificity,
)


class MeanIoU(BinaryConfusionMatrix):
    """Mean of the IoU of the vessels and that of the background; 1 for a class absent from both."""

    def compute(self) -> Tensor:
        (tn, fp), (fn, tp) = self.confmat.float()
        hits, unions = torch.stack([tn, tp]), torch.stack([tn, tp]) + fn + fp
        return torch.where(unions > 0, hits / unions.clamp_min(1), 1.0).mean()


class BinnedAUROC(BinaryAUROC):
    """AUROC in constant memory, from counts between 1001 thresholds.

    The thresholds are 0, 1 and between them even in the logit, -15 to 15, for most background has
    a probability close to 0; against the exact area the error is below 1e-4. The counts are those
    of `BinaryAUROC` with these thresholds, which walks over all pixels once for each of them; this
    sorts them into bins.
    """

    thresholds: Tensor  # type: ignore[assignment]

    def __init__(self, **kwargs: Any) -> None:
        inner = torch.linspace(-15, 15, 999).sigmoid()
        super().__init__(thresholds=torch.cat([torch.zeros(1), inner, torch.ones(1)]), **kwargs)

    def update(self, preds: Tensor, target: Tensor) -> None:
        bins = len(self.thresholds) + 1
        index = torch.bucketize(preds.flatten(), self.thresholds, right=True)
        counts = torch.bincount(index + bins * target.flatten().long(), minlength=2 * bins)
        counts = counts.view(2, bins)  # negatives, positives
        above = counts.flip(1).cumsum(1).flip(1)[:, 1:]
        below = counts.sum(1, keepdim=True) - above
        self.confmat += torch.stack([below, above], dim=-1).transpose(0, 1)  # (T, truth, called)


class BestThreshold(BinnedAUROC):
    """The threshold with the highest Dice, to be chosen on the validation images."""

    def compute(self) -> Tensor:  # type: ignore[override]
        fp, fn, tp = (self.confmat[:, a, b].float() for a, b in ((0, 1), (1, 0), (1, 1)))
        return self.thresholds[(2 * tp / (2 * tp + fp + fn).clamp_min(1)).argmax()]


def vessel_scores(
    prefix: str, threshold: float = 0.5, find_threshold: bool = False
) -> MetricCollection:
    """Scores named ``<prefix><score>_pooled``, over all pixels that were ever given.

    Called as ``scores(probability, truth)`` with flat float32 probabilities and 0/1 integers of one
    image, it returns that image's own scores (for a mean over images) and adds it to the pool.
    ``iou`` is of the vessel class, ``mean_iou`` of vessels and background, ``dice`` is F1;
    ``best_threshold`` (with ``find_threshold``) is for validation only.
    """
    scores: dict[str, Metric | MetricCollection] = {
        "dice": BinaryF1Score(threshold),
        "iou": BinaryJaccardIndex(threshold),
        "mean_iou": MeanIoU(threshold),
        "sensitivity": BinaryRecall(threshold),
        "specificity": BinarySpecificity(threshold),
        "accuracy": BinaryAccuracy(threshold),
        "auroc": BinnedAUROC(validate_args=False),
    }
    if find_threshold:
        scores["best_threshold"] = BestThreshold(validate_args=False)
    return MetricCollection(scores, prefix=prefix, postfix="_pooled")
