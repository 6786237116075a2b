"""Discriminators of Western blots: the reference's, and one of patches.

Images are ``(N, 1, H, W)`` and their templates ``(N, 2, H, W)``, both in [-1, 1].
"""

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from lit_models.networks.blot_generators import down, init_weights


class ReferenceDiscriminator(nn.Module):
    """One logit of the blot being real ``(N, 1)``, from the mean over the last map; BatchNorm.

    Source: the reference. Its flow chart shows templates and image to the discriminator, its
    listing the image alone; ``condition`` is that choice.

    Args:
        condition: see both templates beside the image (3 input channels), or not (1).
    """

    def __init__(self, condition: bool = True) -> None:
        super().__init__()
        self.condition = condition
        # No sigmoid: the loss is taken on logits, which stay exact however confident they are.
        self.layers = nn.Sequential(
            down(3 if condition else 1, 64, nn.LeakyReLU(0.2), norm=False),
            down(64, 128, nn.LeakyReLU(0.2)),
            down(128, 256, nn.LeakyReLU(0.2)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(256, 1),
        )

    def forward(self, templates: Tensor, images: Tensor) -> Tensor:
        return self.layers(torch.cat([templates, images], 1) if self.condition else images)


class PatchDiscriminator(nn.Module):
    """A map of logits ``(N, 1, H/8, W/8)``, as pix2pix (arXiv 1611.07004).

    Spectral norm (arXiv 1802.05957) takes the place of BatchNorm.

    Args:
        condition: see both templates beside the image (3 input channels), or not (1).
        width: channels at half resolution.
    """

    def __init__(self, condition: bool = True, width: PositiveInt = 24) -> None:
        super().__init__()
        self.condition = condition
        self.layers = nn.Sequential(
            down(3 if condition else 1, width, nn.LeakyReLU(0.2), norm=False),
            down(width, 2 * width, nn.LeakyReLU(0.2), norm=False),
            down(2 * width, 4 * width, nn.LeakyReLU(0.2), norm=False),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        ).apply(init_weights)
        for module in self.layers.modules():
            if isinstance(module, nn.Conv2d):
                spectral_norm(module)

    def forward(self, templates: Tensor, images: Tensor) -> Tensor:
        return self.layers(torch.cat([templates, images], 1) if self.condition else images)
