"""Kernel Inception Distance on features that need no download."""

import warnings
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.image.kid import KernelInceptionDistance
from torchmetrics.utilities import dim_zero_cat

from lit_models.networks.torchvision_classifier import TorchvisionClassifier

FEATURES = 512  # of an image, by either network


class BlotKID(KernelInceptionDistance):
    """KID (Binkowski et al., arXiv:1801.01401) over all images at once, the unbiased estimate.

    Not comparable with KID on Inception features; ``name`` says which features it is on.

    Args:
        weights: of a torchvision ResNet-18, see `TorchvisionClassifier`, whose 512 pooled features
            of the images at 128x128 are used; None takes a fixed, seeded random network instead.
    """

    def __init__(self, weights: str | None = None) -> None:
        features = ResNetFeatures(weights) if weights else RandomFeatures()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save")
            super().__init__(feature=features, subsets=1)
        self.name = "kid_resnet18" if weights else "kid_random"
        # torchmetrics gathers batch by batch, and waits for ever where processes have not as many.
        for name in ("real_features", "fake_features"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self._begin()

    def _begin(self) -> None:
        for features in (self.real_features, self.fake_features):
            features.append(torch.empty(0, FEATURES, device=self.device))

    def reset(self) -> None:
        super().reset()
        self._begin()

    def compute(self) -> Tensor:  # type: ignore[override]
        self.subset_size = len(dim_zero_cat(self.real_features))
        return super().compute()[0]


class ResNetFeatures(nn.Module):
    """ResNet-18's pooled features ``(N, 512)`` of gray images ``(N, 1, H, W)`` in [0, 1].

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


class RandomFeatures(nn.Module):
    """Fixed random features ``(N, 512)`` of images ``(N, C, H, W)`` in [0, 1], color as gray.

    Four random strided convolutions; mean and standard deviation over the last map. The weights
    are drawn from seed 0, whatever the run's seed.
    """

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        widths = (1, 32, 64, 128, 256)
        self.weights = []
        for inputs, outputs in pairwise(widths):
            scale = (2 / (inputs * 9)) ** 0.5
            self.weights.append(torch.randn(outputs, inputs, 3, 3, generator=generator) * scale)

    def forward(self, images: Tensor) -> Tensor:
        x = images.float().mean(dim=1, keepdim=True) * 4 - 2
        with torch.autocast(x.device.type, enabled=False):
            for weight in self.weights:
                x = F.leaky_relu(F.conv2d(x, weight.to(x.device), stride=2, padding=1), 0.2)
            return torch.cat([x.mean((2, 3)), x.std((2, 3), correction=0)], 1)
