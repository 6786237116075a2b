"""Metrics of a classifier."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import ClasswiseWrapper, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lit_models.metrics.image_scores import ImageMean


def scores_by_image(log_probs: Tensor, target: Tensor) -> dict[str, Tensor]:
    """``accuracy``, 0 or 1, and ``loss`` ``(N,)`` of log probabilities ``(N, K)``."""
    right = (log_probs.argmax(dim=1) == target).float()
    return {"accuracy": right, "loss": F.nll_loss(log_probs, target, reduction="none")}


def classification_scores(class_names: Sequence[str]) -> MetricCollection:
    """Mean loss, accuracy, macro F1, and each class's accuracy (its recall; 0 without images).

    Update it by name: ``preds``, logits ``(N, K)``, with ``target`` ``(N,)``; ``value``, their mean
    loss, with ``count``, N.

    Args:
        class_names: in the order of the labels 0, 1, ...
    """
    classes = len(class_names)
    by_class = MulticlassAccuracy(classes, average=None)
    return MetricCollection(
        {
            "loss": ImageMean(),
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "f1_macro": MulticlassF1Score(classes, average="macro"),
            "by_class": ClasswiseWrapper(by_class, list(class_names), prefix="accuracy_"),
        }
    )
