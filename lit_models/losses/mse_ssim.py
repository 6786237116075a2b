"""Squared error and structural similarity in one loss."""

from typing import cast

import torch
import torch.nn.functional as F
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
