"""The reference's generator and discriminator of Western blots.

Blots are ``(N, C, H, W)`` and their templates ``(N, T, H, W)``, both in [-1, 1]; H and W are
multiples of 8.
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
    """Templates to a blot through a map of 256 channels, of an eighth of the side.

    Source: the reference's flow chart, which concatenates both templates; its listing has 1 input.

    Args:
        template_channels: of all templates.
        image_channels: of the blot.
    """

    def __init__(self, template_channels: int = 2, image_channels: int = 1) -> None:
        super().__init__(
            down(template_channels, 64, nn.ReLU()),
            down(64, 128, nn.ReLU()),
            down(128, 256, nn.ReLU()),
            up(256, 128),
            up(128, 64),
            nn.ConvTranspose2d(64, image_channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )


class ReferenceDiscriminator(nn.Module):
    """One logit of the blot being real ``(N, 1)``, from the mean over the last map; BatchNorm.

    Source: the reference. Its flow chart shows templates and image to the discriminator, its
    listing the image alone; ``condition`` is that choice.

    Args:
        template_channels: of all templates.
        image_channels: of the blot.
        condition: see the templates beside the image, or not.
    """

    def __init__(
        self, template_channels: int = 2, image_channels: int = 1, condition: bool = True
    ) -> None:
        super().__init__()
        self.condition = condition
        # No sigmoid: the loss is taken on logits, which stay exact however confident they are.
        self.layers = nn.Sequential(
            down(image_channels + condition * template_channels, 64, nn.LeakyReLU(0.2), norm=False),
            down(64, 128, nn.LeakyReLU(0.2)),
            down(128, 256, nn.LeakyReLU(0.2)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(256, 1),
        )

    def forward(self, templates: Tensor, images: Tensor) -> Tensor:
        return self.layers(torch.cat([templates, images], 1) if self.condition else images)
