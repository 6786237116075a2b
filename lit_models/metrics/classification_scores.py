"""Metrics of a classifier."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import ClasswiseWrapper, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lit_models.metrics.image_scores import ImageMean


def scores_by_image(log_probs: Tensor, target: Tensor) -> dict[str, Tensor]:
    """``accuracy``, 0 or 1, and ``loss`` ``(N,)`` of log probabilities ``(N, K)``."""
    right = (log_probs.argmax(dim=1) == target).float()
    return {"accuracy": right, "loss": F.nll_loss(log_probs, target, reduction="none")}


class ClassificationScores(nn.Module):
    """Mean loss, accuracy, macro F1, and each class's accuracy (its recall; 0 without images).

    Args:
        class_names: in the order of the labels 0, 1, ...
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        classes = len(class_names)
        by_class = MulticlassAccuracy(classes, average=None)
        self.loss = ImageMean()
        self.scores = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "f1_macro": MulticlassF1Score(classes, average="macro"),
                "by_class": ClasswiseWrapper(by_class, list(class_names), prefix="accuracy_"),
            }
        )

    def update(self, logits: Tensor, target: Tensor, loss: Tensor) -> None:
        """Add images by logits ``(N, K)``, classes ``(N,)`` and their mean loss."""
        self.loss.update(loss.detach(), len(target))
        self.scores.update(logits, target)

    def compute_and_reset(self) -> dict[str, Tensor]:
        """The scores over all processes, by name."""
        values = {"loss": self.loss.compute(), **self.scores.compute()}
        self.loss.reset()
        self.scores.reset()
        return values
