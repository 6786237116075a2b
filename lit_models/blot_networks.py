"""The two networks of the Western-blot GAN."""

import torch
from torch import Tensor, nn


class Generator(nn.Sequential):
    """Templates ``(N, 2, H, W)`` in [-1, 1] to blots ``(N, 1, H, W)`` in [-1, 1].

    Strided 4x4 convolutions 2-64-128-256 and their transposes back, H and W multiples of 8.
    Source: the reference's flow chart, which concatenates both templates; its listing has 1 input.
    """

    def __init__(self) -> None:
        super().__init__(
            *self._down(2, 64),
            *self._down(64, 128),
            *self._down(128, 256),
            *self._up(256, 128),
            *self._up(128, 64),
            nn.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    @staticmethod
    def _down(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
        conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)

    @staticmethod
    def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
        conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        return conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


class Discriminator(nn.Module):
    """Logit ``(N, 1)`` of a blot ``(N, 1, H, W)`` being real, given its templates or not.

    Strided 4x4 convolutions 64-128-256, the mean of the last map, and one linear layer. The
    reference's sigmoid is left to the loss, which is exact on logits however sure they are.

    Args:
        condition: ``both`` templates are seen beside the image (3 input channels), or ``none`` (1).
    """

    def __init__(self, condition: str) -> None:
        super().__init__()
        self.condition = condition
        self.layers = nn.Sequential(
            nn.Conv2d(3 if condition == "both" else 1, 64, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(128, 256, 4, stride=2, padding=1),
            nn.BatchNorm2d(256),
            nn.LeakyReLU(0.2, inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(256, 1),
        )

    def forward(self, templates: Tensor, images: Tensor) -> Tensor:
        x = torch.cat([templates, images], 1) if self.condition == "both" else images
        return self.layers(x)
