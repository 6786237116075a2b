"""Generators of Western blots: the reference's, and one that generalizes to unseen membranes.

Templates are ``(N, 2, H, W)`` and blots ``(N, 1, H, W)``, both in [-1, 1]. H and W are multiples of
8 for the reference and of 16 for the U-Net.
"""

import torch
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn


def down(inputs: int, outputs: int, activation: nn.Module, norm: bool = True) -> nn.Sequential:
    """Halve the side."""
    conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs) if norm else nn.Identity(), activation)


def up(inputs: int, outputs: int) -> nn.Sequential:
    """Double the side."""
    conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def init_weights(module: nn.Module) -> None:
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

    Args:
        width: channels at half resolution.
    """

    def __init__(self, width: PositiveInt = 16) -> None:
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
        self.apply(init_weights)

    def forward(self, templates: Tensor, noise: Tensor | None = None) -> Tensor:
        """Blots of templates and noise, normal, ``(N, 1, H, W)``; None draws it."""
        noise = torch.randn_like(templates[:, :1]) if noise is None else noise
        x = torch.cat([templates, noise], 1)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)
        for block in self.up:
            x = torch.cat([block(x), skips.pop()], 1)
        return self.out(x)
