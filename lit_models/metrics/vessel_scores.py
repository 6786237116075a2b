"""Metrics of vessel maps, shared by `VesselSegmenter` and the benchmark."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryAUROC,
    BinaryF1Score,
    BinaryJaccardIndex,
    BinaryRecall,
    BinarySpecificity,
    MulticlassJaccardIndex,
)

from lit_models.metrics.image_scores import ImageMean

REGIONS = ("fov", "full_image")


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


SCORES: dict[str, Callable[..., Metric]] = {
    "dice": BinaryF1Score,
    "iou": BinaryJaccardIndex,
    "mean_iou": partial(MulticlassJaccardIndex, num_classes=2),  # of those that occur
    "sensitivity": BinaryRecall,
    "specificity": BinarySpecificity,
    "accuracy": BinaryAccuracy,
    "auroc": BinnedAUROC,
}


class VesselScores(MetricCollection):
    """Scores of the pixels inside the field of view, ``fov/``, and of all, ``full_image/``.

    Each over the pixels of all images, ``<score>_pooled``, and as the mean of the images' own
    values, ``<score>_image_mean``. Those of a region exist where an image has it. ``iou`` is of the
    vessel class, ``mean_iou`` of vessels and background, ``dice`` is F1, ``loss`` the mean over the
    images.

    Args:
        threshold: probability above which a pixel is called vessel.
        find_threshold: add ``best_threshold_pooled``, for validation only.
    """

    def __init__(self, threshold: float = 0.5, find_threshold: bool = False) -> None:
        metrics: dict[str, Metric] = {"loss": ImageMean()}
        for region in REGIONS:
            for name, kind in SCORES.items():
                metrics[f"{region}/{name}_pooled"] = kind(validate_args=False)
                metrics[f"{region}/{name}_image_mean"] = ImageMean()
            if find_threshold:
                metrics[f"{region}/best_threshold_pooled"] = BestThreshold(validate_args=False)
        super().__init__({**metrics}, compute_groups=False)
        self.threshold, self.find_threshold = threshold, find_threshold

    def update(  # type: ignore[override]
        self, probability: Tensor, truth: Tensor, fov: Tensor | None
    ) -> dict[str, Tensor]:
        """Add one image: float32 ``(H, W)``, bool ``(1, H, W)``, and its mask or None.

        Returns:
            The image's own scores, by the names of the images' means.
        """
        own = {}
        for region, mask in (("full_image", torch.ones_like(truth)), ("fov", fov)):
            if mask is None:
                continue
            p, target = probability[mask[0]], truth[mask].long()
            # Not by torchmetrics' own threshold: one value above 1 and it takes all for logits.
            called = (p > self.threshold).long()
            for name in SCORES:
                pooled, mean = (f"{region}/{name}_{kind}" for kind in ("pooled", "image_mean"))
                own[mean] = self[pooled](p if name == "auroc" else called, target)
                self[mean].update(own[mean])
            if self.find_threshold:
                self[f"{region}/best_threshold_pooled"].update(p, target)
        return own

    def compute(self) -> dict[str, Tensor]:
        """The scores over all processes, by name, without regions that no image has."""
        values = super().compute()
        empty = tuple(f"{r}/" for r in REGIONS if values[f"{r}/dice_image_mean"].isnan())
        return {name: value for name, value in values.items() if not name.startswith(empty)}
