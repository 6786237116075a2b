"""Class probabilities of an image, and class activation maps."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from common.errors import DataError
from lit_models.networks.torchvision_classifier import TorchvisionClassifier


@dataclass(frozen=True)
class DefectPostprocessor:
    """How a classifier is asked after training.

    Args:
        tta: test-time augmentation: average the probabilities over the image and its three mirror
            images.
        temperature: divides the logits, so that the probabilities are as sure as they are right
            (Guo et al. 2017, arXiv 1706.04599); null takes the one that ``TemperatureScaling``
            fitted, which the checkpoint holds, or else 1.

    Raises:
        DataError: a temperature that is not positive.
    """

    tta: bool = False
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise DataError(
                f"model.inference.temperature: {self.temperature:g} is no positive number; give 1 "
                "to leave the probabilities as they are"
            )

    def logits(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits of each view ``(V, N, K)``, float32, of images ``(N, 3, H, W)``."""
        return torch.stack([network(view).float() for view in self._views(images)])

    def from_logits(self, logits: Tensor) -> Tensor:
        """Logarithms of the probabilities ``(N, K)`` from what `logits` returns."""
        log_probs = (logits / (self.temperature or 1.0)).log_softmax(dim=2)
        if len(log_probs) == 1:
            return log_probs[0]
        # A probability may underflow, its logarithm not.
        return log_probs.logsumexp(dim=0) - torch.tensor(float(len(log_probs))).log()

    def log_probabilities(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logarithms of the probabilities ``(N, K)``, float32, of images ``(N, 3, H, W)``."""
        return self.from_logits(self.logits(network, images))

    def answers(
        self, network: nn.Module, images: Tensor, explain: bool = False
    ) -> dict[str, Tensor]:
        """What is said of images ``(N, 3, H, W)``, float32.

        Args:
            network: a `TorchvisionClassifier` where it is to explain.
            images: as it takes them.
            explain: also give the class activation maps; see
                `TorchvisionClassifier.class_activation_maps` for where there are any.

        Returns:
            ``probabilities`` ``(N, K)``; ``activations`` ``(N, K, h, w)``, averaged over the views,
            of the bare logits, before the temperature.
        """
        if not explain:
            return {"probabilities": self.log_probabilities(network, images).exp()}
        logits, maps = [], []
        for view, axes in zip(self._views(images), _MIRRORS, strict=False):
            of_view, map_of_view = cast(TorchvisionClassifier, network).class_activation_maps(view)
            logits.append(of_view.float())
            maps.append(cast(Tensor, map_of_view).flip(axes))
        probabilities = self.from_logits(torch.stack(logits)).exp()
        return {"probabilities": probabilities, "activations": torch.stack(maps).mean(dim=0)}

    def _views(self, images: Tensor) -> list[Tensor]:
        return [images.flip(axes) for axes in _MIRRORS] if self.tta else [images]


_MIRRORS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))


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
