"""Losses between images: squared error with structural similarity, and power spectra."""

from typing import cast

import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure as ssim

from common.ranges import NonNegativeFinite


class MSESSIMLoss(nn.Module):
    """``mse_weight * MSE + ssim_weight * (1 - SSIM)`` of images in [-1, 1], in float32.

    SSIM has 7x7 windows (Wang et al. 2004), on the range [0, 1].
    """

    def __init__(
        self, mse_weight: NonNegativeFinite = 33.0, ssim_weight: NonNegativeFinite = 17.0
    ) -> None:
        super().__init__()
        self.mse_weight, self.ssim_weight = mse_weight, ssim_weight

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of two batches ``(N, C, H, W)``."""
        with torch.autocast(images.device.type, enabled=False):
            images, target = images.float(), target.float()
            pair = (images + 1) / 2, (target + 1) / 2
            similarity = ssim(*pair, gaussian_kernel=False, kernel_size=7, data_range=1.0)
            mse = F.mse_loss(images, target)
            return self.mse_weight * mse + self.ssim_weight * (1 - cast(Tensor, similarity))


class SpectrumLoss(nn.Module):
    """``weight`` times the mean absolute difference of log power, of each image and its target.

    Spectra are what gives generated images away where pixels do not.

    Args:
        weight: of the loss.
        block: side of the blocks of frequencies over which power is averaged first; images are of
            four times that or more.
    """

    def __init__(self, weight: NonNegativeFinite = 2.0, block: PositiveInt = 4) -> None:
        super().__init__()
        self.weight, self.block = weight, block

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of two batches ``(N, 1, H, W)`` in [-1, 1], in float32."""
        with torch.autocast(images.device.type, enabled=False):
            powers = [self._log_power(x.float()) for x in (images, target)]
            return self.weight * (powers[0] - powers[1]).abs().mean()

    def _log_power(self, images: Tensor) -> Tensor:
        """Under a Hann window, ``(N, 1, H / 2 / block, W / 2 / block)``, of gray levels over 255.

        Rows are vertical frequencies, both signs together, and columns horizontal ones, from the
        lowest but 0.
        """
        height, width = images.shape[2:]
        sides = [torch.hann_window(n + 2, device=images.device)[1:-1] for n in (height, width)]
        window = sides[0][:, None] * sides[1]
        window = window / window.square().mean().sqrt()
        x = (images[:, 0] + 1) / 2
        spectrum = torch.fft.rfft2((x - x.mean((1, 2), keepdim=True)) * window)
        power = (spectrum.real**2 + spectrum.imag**2)[:, :, 1:]
        power = power[:, 1 : height // 2 + 1] + power[:, (height + 1) // 2 :].flip(1)
        # A tenth of what rounding to 8 bits makes.
        return torch.log(F.avg_pool2d(power[:, None], self.block) + 1e-3)
