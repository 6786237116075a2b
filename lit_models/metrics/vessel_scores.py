"""Metrics of vessel maps, shared by `VesselSegmenter` and the benchmark."""

from typing import Any, cast

import torch
from torch import Tensor, nn
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


class RegionScores(nn.Module):
    """Each score over the pixels of all images, ``<score>_pooled``, and ``<score>_image_mean``.

    ``iou`` is of the vessel class, ``mean_iou`` of vessels and background, ``dice`` is F1.

    Args:
        threshold: probability above which a pixel is called vessel.
        find_threshold: add ``best_threshold_pooled``, for validation only.
    """

    def __init__(self, threshold: float = 0.5, find_threshold: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        unchecked: dict[str, Any] = {"validate_args": False}
        masks: dict[str, Metric] = {
            "dice": BinaryF1Score(**unchecked),
            "iou": BinaryJaccardIndex(**unchecked),
            "mean_iou": MulticlassJaccardIndex(num_classes=2, **unchecked),  # of those that occur
            "sensitivity": BinaryRecall(**unchecked),
            "specificity": BinarySpecificity(**unchecked),
            "accuracy": BinaryAccuracy(**unchecked),
        }
        maps: dict[str, Metric] = {"auroc": BinnedAUROC(**unchecked)}
        if find_threshold:
            maps["best_threshold"] = BestThreshold(**unchecked)
        self.image_mean = nn.ModuleDict({name: ImageMean() for name in (*masks, "auroc")})
        self.masks, self.maps = MetricCollection({**masks}), nn.ModuleDict(maps)

    def update(self, probability: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Add one image: flat float32 probabilities and 0/1 integers of its pixels.

        Returns:
            The image's own scores by name.
        """
        # Not by torchmetrics' own threshold: one value above 1 and it takes all for logits.
        called = (probability > self.threshold).long()
        own = {name: metric(probability, truth) for name, metric in self.maps.items()}
        own.pop("best_threshold", None)
        own = {**self.masks(called, truth), **own}
        for name, value in own.items():
            cast(ImageMean, self.image_mean[name]).update(value)
        return own

    def compute_and_reset(self) -> dict[str, Tensor]:
        """The scores over all processes; empty if none of them had an image."""
        pooled = (*self.masks.items(), *self.maps.items())
        metrics: dict[str, Any] = {f"{name}_pooled": metric for name, metric in pooled}
        metrics |= {f"{name}_image_mean": metric for name, metric in self.image_mean.items()}
        values = {name: metric.compute() for name, metric in metrics.items()}
        for metric in metrics.values():
            metric.reset()
        return {} if values["dice_image_mean"].isnan() else values


class VesselScores(nn.Module):
    """`RegionScores` inside the field of view, ``fov/``, and of all pixels, ``full_image/``.

    Those of the field of view exist where its masks do. ``loss`` is the mean over the images.

    Args:
        *args: see `RegionScores`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        self.loss = ImageMean()
        self.fov, self.full_image = RegionScores(*args), RegionScores(*args)

    def update(self, probability: Tensor, truth: Tensor, fov: Tensor | None) -> dict[str, Tensor]:
        """Add one image: float32 ``(H, W)``, bool ``(1, H, W)``, and its mask or None.

        Returns:
            The image's own scores, by the names of the images' means.
        """
        own = {"full_image": self.full_image.update(probability.flatten(), truth.flatten().long())}
        if fov is not None:
            own["fov"] = self.fov.update(probability[fov[0]], truth[fov].long())
        return {f"{r}/{k}_image_mean": v for r, values in own.items() for k, v in values.items()}

    def compute_and_reset(self) -> dict[str, Tensor]:
        """The scores over all processes, by name."""
        values = {"loss": self.loss.compute()}
        self.loss.reset()
        for region, scores in (("fov", self.fov), ("full_image", self.full_image)):
            values |= {f"{region}/{k}": v for k, v in scores.compute_and_reset().items()}
        return values
