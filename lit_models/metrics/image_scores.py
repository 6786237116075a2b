"""How close a generated or reconstructed image is to the true one."""

from typing import cast

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

SSIM_RADIUS = 5  # of its Gaussian window


def image_scores(copy: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """PSNR in dB and SSIM of one image ``(1, C, H, W)`` in [0, 1], in float32.

    SSIM is NaN where a side of the image is no longer than the radius of its window, 5 px.
    """
    ssim = torch.tensor(torch.nan)
    if min(copy.shape[-2:]) > SSIM_RADIUS:
        with torch.autocast(copy.device.type, enabled=False):  # SSIM has convolutions
            ssim = cast(Tensor, structural_similarity_index_measure(copy, truth, data_range=1.0))
    return {"psnr": peak_signal_noise_ratio(copy, truth, data_range=1.0), "ssim": ssim}
