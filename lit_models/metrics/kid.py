"""Kernel Inception Distance on features of a ResNet-18."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.utilities import dim_zero_cat

from lit_models.networks.torchvision_classifier import TorchvisionClassifier


class BlotKID(KernelInceptionDistance):
    """KID (Binkowski et al., arXiv:1801.01401) over all images at once, the unbiased estimate.

    Not comparable with KID on Inception features.

    Args:
        weights: of the ResNet-18, see `TorchvisionClassifier`.
    """

    def __init__(self, weights: str) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save")
            super().__init__(feature=ResNetFeatures(weights), subsets=1)
        # torchmetrics gathers batch by batch, and waits for ever where processes have not as many.
        for name in ("real_features", "fake_features"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self._begin()

    def _begin(self) -> None:
        for features in (self.real_features, self.fake_features):
            features.append(torch.empty(0, 512, device=self.device))

    def reset(self) -> None:
        super().reset()
        self._begin()

    def compute(self) -> Tensor:  # type: ignore[override]
        self.subset_size = len(dim_zero_cat(self.real_features))
        return super().compute()[0]


class ResNetFeatures(nn.Module):
    """ResNet-18's pooled features ``(N, 512)`` of images ``(N, 1 or 3, H, W)`` in [0, 1].

    Raises:
        DataError: ``weights`` is not a file with a ResNet-18's state dict.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        network = TorchvisionClassifier(1000, "resnet18", weights).eval()
        network.load_pretrained()
        # In a tuple, so that it does not count as a part of the model and its checkpoints.
        self.network = (network.requires_grad_(False),)

    def forward(self, images: Tensor) -> Tensor:
        network = self.network[0].to(images.device)
        x = F.interpolate(images.float(), size=(128, 128), mode="bilinear")
        mean, std = x.new_tensor([0.485, 0.456, 0.406]), x.new_tensor([0.229, 0.224, 0.225])
        x = (x - mean[:, None, None]) / std[:, None, None]
        with torch.autocast(x.device.type, enabled=False):
            return network.features(x)
