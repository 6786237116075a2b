"""A U-Net small enough for the CPU: residual blocks, and skips that are added."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn

from common.errors import DataError


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm around a skip (He et al. 2015, arXiv 1512.03385)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.skip = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))


class ResidualUNet(nn.Module):
    """Segmentation logits; 0.26 M parameters with the default widths.

    Adding a level's features on the way up, rather than concatenating them, halves the widest
    convolutions at full resolution, where nearly all of the time goes.

    Args:
        in_channels: of the image.
        out_channels: of the logits.
        widths: channels at each level, full resolution first.
    """

    def __init__(
        self,
        in_channels: PositiveInt = 3,
        out_channels: PositiveInt = 1,
        widths: Sequence[PositiveInt] = (8, 16, 32, 64, 64),
    ) -> None:
        super().__init__()
        if not widths:
            raise DataError("model.network.widths: empty; give the channels of one level or more")
        ins = (in_channels, *widths[:-1])
        self.factor = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(ResidualBlock(i, o) for i, o in zip(ins, widths, strict=True))
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.lateral = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in steps)
        self.up = nn.ModuleList(ResidualBlock(o, o) for _, o in steps)
        self.out = nn.Conv2d(widths[0], out_channels, 1)
        # Faster for narrow layers on any CPU (AVX2: 0.14 s a step, not 0.17), unlike for wide ones.
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``, for any H and W."""
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.factor, 0, -height % self.factor))
        features = [self.down[0](x)]
        for block in self.down[1:]:
            features.append(block(F.max_pool2d(features[-1], 2)))
        x = features.pop()
        for lateral, block in zip(self.lateral, self.up, strict=True):
            x = F.interpolate(lateral(x), scale_factor=2, mode="bilinear")
            x = block(x + features.pop())
        return self.out(x)[..., :height, :width]
