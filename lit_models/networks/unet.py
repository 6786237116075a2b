"""The encoder-decoder of the U-Net paper, as segmentation net and as autoencoder; a residual one.

Source: Ronneberger et al., "U-Net", 2015 (arXiv 1505.04597), with padded convolutions and
BatchNorm, as the reference has it.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn

from common.errors import DataError

Norm = Literal["batch", "none"]


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each with BatchNorm (``norm="batch"``) and ReLU; keeps H and W."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm = "batch") -> None:
        layers: list[nn.Module] = []
        for channels in (in_channels, out_channels):
            # BatchNorm subtracts the mean, and with it any bias before it.
            convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=norm == "none")
            layers.append(convolution)
            if norm == "batch":
                layers.append(nn.BatchNorm2d(out_channels))
            else:
                # PyTorch's default lets the signal fade and blur from layer to layer; this start,
                # of Xiao et al. 2018 (arXiv 1806.05393), keeps its size and each pixel's place.
                nn.init.zeros_(convolution.weight)
                nn.init.orthogonal_(convolution.weight[:, :, 1, 1], nn.init.calculate_gain("relu"))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class UpConv(nn.ConvTranspose2d):
    """The U-Net's 2x2 up-convolution: ``(N, C, H, W)`` to ``(N, out_channels, 2H, 2W)``.

    Its patches do not overlap, so it is a matrix product, followed by putting each pixel's four
    results beside each other. On a CPU, for channels-last input, that product takes a third of the
    time of oneDNN's backward pass of the transposed convolution; elsewhere the latter is taken.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        assert self.bias is not None
        n, _, height, width = x.shape
        weight = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (2 * 2 * out, in)
        y = F.linear(x.permute(0, 2, 3, 1), weight, self.bias.repeat(4))
        y = y.view(n, height, width, 2, 2, self.out_channels).transpose(2, 3)
        return y.reshape(n, 2 * height, 2 * width, self.out_channels).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """Double convolutions going down by max-pooling and up again by 2x2 transposed convolutions.

    The defaults are the reference's segmentation net of 31 M parameters.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, linear (no activation): logits.
        widths: channels at each level, full resolution first; one level more than there are
            halvings.
        skips: concatenate each level's features on the way up; without them everything passes
            through the lowest level.
        norm: "batch" or "none", see `DoubleConv`.
    """

    def __init__(
        self,
        in_channels: PositiveInt = 1,
        out_channels: PositiveInt = 1,
        widths: Sequence[PositiveInt] = (64, 128, 256, 512, 1024),
        skips: bool = True,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if not widths:
            raise DataError("model.network.widths: empty; give the channels of one level or more")
        self.skips = skips
        self.factor = 2 ** (len(widths) - 1)
        ins = [in_channels, *widths[:-1]]
        self.down = nn.ModuleList(DoubleConv(i, o, norm) for i, o in zip(ins, widths, strict=True))
        steps = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(UpConv(i, o) for i, o in steps)
        self.merge = nn.ModuleList(DoubleConv(2 * o if skips else o, o, norm) for _, o in steps)
        self.out = nn.Conv2d(widths[0], out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H, W)``, for any H and W.

        Sizes that do not halve evenly are padded below and at the right by repeating the border,
        and cropped back.
        """
        height, width = x.shape[-2:]
        padding = (0, -width % self.factor, 0, -height % self.factor)
        if any(padding):
            x = F.pad(x, padding, mode="replicate")
        features = [self.down[0](x)]
        for level in self.down[1:]:
            features.append(level(F.max_pool2d(features[-1], 2)))
        x = features.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x, skip = up(x), features.pop()
            x = merge(torch.cat([skip, x], dim=1) if self.skips else x)
        return self.out(x)[..., :height, :width]


class AutoEncoder(UNet):
    """Reconstruction of its input; with the default widths the reference's net of 7.7 M parameters.

    With ``skips`` the finest features go straight to the output, so nothing is compressed.
    """

    def __init__(
        self,
        in_channels: PositiveInt = 3,
        widths: Sequence[PositiveInt] = (64, 128, 256, 512),
        skips: bool = True,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(in_channels, in_channels, widths, skips, norm)


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
    """Segmentation logits from a U-Net small enough for the CPU; 0.26 M parameters by default.

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
