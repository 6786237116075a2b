"""The networks of the Western-blot GAN: the reference's two, and two that hold on other membranes.

Templates are ``(N, 2, H, W)`` and blots ``(N, 1, H, W)``, both in [-1, 1]. H and W are multiples of
8 for the reference and of 16 for the U-Net.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def down(inputs: int, outputs: int, activation: nn.Module, norm: bool = True) -> nn.Sequential:
    """Halve the side."""
    conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs) if norm else nn.Identity(), activation)


def up(inputs: int, outputs: int) -> nn.Sequential:
    """Double the side."""
    conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def small_weights(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions, as pix2pix (arXiv:1611.07004) starts; for ``Module.apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


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


class UNetGenerator(nn.Module):
    """U-Net over both templates and one channel of noise, fresh at each call, for the grain.

    Four halvings to ``8 * width`` channels; the last skip is the input itself.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 8 * width]
        self.down = nn.ModuleList(
            down(widths[i], widths[i + 1], nn.LeakyReLU(0.2), norm=i > 0) for i in range(4)
        )
        self.up = nn.ModuleList(
            up(widths[i + 1] * (1 if i == 3 else 2), max(widths[i], width))
            for i in reversed(range(4))
        )
        self.out = nn.Sequential(nn.Conv2d(width + 3, 1, 3, padding=1), nn.Tanh())
        self.apply(small_weights)

    def forward(self, templates: Tensor) -> Tensor:
        x = torch.cat([templates, torch.randn_like(templates[:, :1])], 1)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for block in self.up:
            x = torch.cat([block(x), skips.pop()], 1)
        return self.out(x)


class Discriminator(nn.Module):
    """Logits of a blot being real, for it and, if it is a condition, its templates.

    Args:
        kind: ``reference``: one logit ``(N, 1)`` from the mean over the last map, with BatchNorm.
            ``patch``: a map ``(N, 1, H/8, W/8)``, as pix2pix, with spectral norm
            (arXiv:1802.05957) in the place of BatchNorm.
        condition: ``both`` templates are seen beside the image (3 input channels), or ``none`` (1).
    """

    def __init__(self, kind: str = "reference", condition: str = "both") -> None:
        super().__init__()
        self.condition = condition
        channels = 3 if condition == "both" else 1
        if kind == "reference":
            # No sigmoid: the loss is taken on logits, which stay exact however sure they are.
            self.layers = nn.Sequential(
                down(channels, 64, nn.LeakyReLU(0.2), norm=False),
                down(64, 128, nn.LeakyReLU(0.2)),
                down(128, 256, nn.LeakyReLU(0.2)),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(256, 1),
            )
        else:
            self.layers = nn.Sequential(
                down(channels, 24, nn.LeakyReLU(0.2), norm=False),
                down(24, 48, nn.LeakyReLU(0.2), norm=False),
                down(48, 96, nn.LeakyReLU(0.2), norm=False),
                nn.Conv2d(96, 1, 3, padding=1),
            ).apply(small_weights)
            for module in self.layers.modules():
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)

    def forward(self, templates: Tensor, images: Tensor) -> Tensor:
        x = torch.cat([templates, images], 1) if self.condition == "both" else images
        return self.layers(x)
