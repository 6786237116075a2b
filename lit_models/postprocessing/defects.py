"""Class probabilities of an image, activation maps, and how unlike its training images it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.ranges import PositiveFinite
from lit_models.postprocessing.ensemble import mean_of_classes


class UnknownScore(nn.Module):
    """Rank of an image among the validation images, 0 to 1: 1 is less like training than all.

    The larger of two ranks. That of the doubt, 1 - confidence, finds a new class whose images lie
    between known ones; that of the distance to the nearest training image, between features of unit
    length (Sun et al. 2022, arXiv 2204.06507), finds photographs of something else, of which a
    network may be sure.

    Args:
        features: of training images, of unit length, float16 ``(M, F)``.
        doubts: of validation images, float32 ``(V,)``.
        distances: of validation images, 1 - cosine, float32 ``(V,)``.
        threshold: score above which an image is called unknown.
    """

    features: Tensor
    doubts: Tensor
    distances: Tensor

    def __init__(
        self, features: Tensor, doubts: Tensor, distances: Tensor, threshold: float
    ) -> None:
        super().__init__()
        for name, values in (("features", features), ("doubts", doubts), ("distances", distances)):
            self.register_buffer(name, values, persistent=False)  # callbacks.UnknownDetection's
        self.threshold = threshold

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Scores ``(N,)`` of images with features ``(N, F)`` and probabilities ``(N, K)``."""
        doubt = 1 - probabilities.amax(dim=1)
        distance = nearest_distance(self.features, features)
        return torch.maximum(_rank(self.doubts, doubt), _rank(self.distances, distance))


def nearest_distance(known: Tensor, features: Tensor) -> Tensor:
    """1 - cosine ``(N,)`` of ``(N, F)`` and the nearest of ``known``, unit length ``(M, F)``."""
    with torch.autocast(features.device.type, enabled=False):
        cosines = F.normalize(features.float(), dim=1) @ known.float().T
    return 1 - cosines.amax(dim=1)


def _rank(known: Tensor, values: Tensor) -> Tensor:
    return (known < values[:, None]).float().mean(dim=1)


@dataclass(frozen=True)
class DefectPostprocessor:
    """Inference settings of a classifier.

    Args:
        tta: test-time augmentation: average the probabilities over the image and its three mirror
            images.
        views: of ``tta``: 4, or 2 for the image and the one turned by 180 degrees, in half the time
            and, on damaged panels, as often right (docs/speed.md).
        temperature: divides the logits, so that the probabilities are as sure as they are right
            (Guo et al. 2017, arXiv 1706.04599); null takes the one that ``TemperatureScaling``
            fitted, which the checkpoint holds, or else 1.
    """

    tta: bool = False
    temperature: PositiveFinite | None = None
    views: Literal[2, 4] = 4

    def from_logits(self, logits: Tensor) -> Tensor:
        """Logarithms of the probabilities ``(N, K)`` from logits of each view ``(V, N, K)``."""
        return mean_of_classes(logits / (self.temperature or 1.0))

    def features_and_logits(self, network: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the head sees of the first view ``(N, F)``, and the logits of each ``(V, N, K)``.

        F is 0 where the network has no ``features`` and ``head``. Both float32.
        """
        views = self._views(images)
        if not hasattr(network, "features"):
            logits = torch.stack([network(view).float() for view in views])
            return logits.new_empty(len(images), 0), logits
        features = [network.features(view) for view in views]
        logits = torch.stack([network.head(one).float() for one in features])
        return features[0].float(), logits

    def answers(
        self,
        network: Any,
        images: Tensor,
        explain: bool = False,
        unknown: UnknownScore | None = None,
    ) -> dict[str, Tensor]:
        """What is said of images ``(N, 3, H, W)``, float32.

        Args:
            network: with ``features`` and ``head`` for ``unknown``; a `TorchvisionClassifier` with
                `TorchvisionClassifier.class_activation_maps` to explain.
            images: as it takes them.
            explain: give ``activations``.
            unknown: gives ``unknown``.

        Returns:
            ``probabilities`` ``(N, K)``; ``activations`` ``(N, K, h, w)``, class activation maps
            averaged over the views, of the bare logits, before the temperature; ``unknown``
            ``(N,)``, see `UnknownScore`.
        """
        if explain:
            parts = [network.class_activation_maps(view) for view in self._views(images)]
            features, logits = parts[0][2], torch.stack([part[0].float() for part in parts])
        else:
            features, logits = self.features_and_logits(network, images)
        found = {"probabilities": self.from_logits(logits).exp()}
        if explain:
            maps = [part[1].flip(axes) for part, axes in zip(parts, self._axes, strict=True)]
            found["activations"] = torch.stack(maps).mean(dim=0)
        if unknown is not None:
            found["unknown"] = unknown(features, found["probabilities"])
        return found

    @property
    def _axes(self) -> Sequence[tuple[int, ...]]:
        """Which are mirrored in each view."""
        mirrored = ((), (3,), (2,), (2, 3))
        if not self.tta:
            return mirrored[:1]
        return mirrored if self.views == 4 else (mirrored[0], mirrored[3])

    def _views(self, images: Tensor) -> list[Tensor]:
        return [images.flip(axes) for axes in self._axes]


def review_threshold(confidence: Tensor, correct: Tensor, max_error: float) -> float:
    """The least confidence above which no more than ``max_error`` of the images were wrong.

    Args:
        confidence: of held-out images ``(N,)``.
        correct: whether they were classified correctly, bool ``(N,)``.
        max_error: as a share, 0 to 1.

    Returns:
        Infinity where even the most confident images are wrong more often.
    """
    order = confidence.argsort(descending=True, stable=True)
    threshold, wrong = confidence[order], (~correct[order]).double().cumsum(0)
    error = wrong / torch.arange(1, len(order) + 1)
    ends = torch.cat([threshold[1:] != threshold[:-1], torch.tensor([True])])  # of equal ones
    fit = threshold[ends & (error <= max_error)]
    return float(fit[-1]) if len(fit) else math.inf
