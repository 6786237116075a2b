"""The reference's generator and discriminator of Western blots.

Blots are ``(N, 1, H, W)`` and their templates ``(N, 2, H, W)``, both in [-1, 1].
"""

import torch
from torch import Tensor, nn


def down(inputs: int, outputs: int, activation: nn.Module, norm: bool = True) -> nn.Sequential:
    """Halve the side."""
    conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs) if norm else nn.Identity(), activation)


def up(inputs: int, outputs: int) -> nn.Sequential:
    """Double the side."""
    conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class ReferenceGenerator(nn.Sequential):
    """Both templates to a blot through an 8x8 map of 256 channels.

    Source: the reference's flow chart, which concatenates both templates; its listing has 1 input.
    """

    def __init__(self) -> None:
        super().__init__(
            down(2, 64, nn.ReLU()),
            down(64, 128, nn.ReLU()),
            down(128, 256, nn.ReLU()),
            up(256, 128),
            up(128, 64),
            nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )


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
