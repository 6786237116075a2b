"""Class probabilities of an image, and class activation maps."""

import math
from dataclasses import dataclass

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

    def explain(
        self, network: TorchvisionClassifier, images: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """`log_probabilities`, and class activation maps ``(N, K, h, w)``, averaged over the views.

        The maps are of the bare logits, before the temperature; see
        `TorchvisionClassifier.class_activation_maps` for where there are none.
        """
        logits, maps = [], []
        for view, axes in zip(self._views(images), _MIRRORS, strict=False):
            of_view, map_of_view = network.class_activation_maps(view)
            logits.append(of_view.float())
            if map_of_view is not None:
                maps.append(map_of_view.flip(axes))
        log_probs = self.from_logits(torch.stack(logits))
        return log_probs, torch.stack(maps).mean(dim=0) if maps else None

    def _views(self, images: Tensor) -> list[Tensor]:
        return [images.flip(axes) for axes in _MIRRORS] if self.tta else [images]


_MIRRORS: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
