"""How unlike its training images an image is."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
