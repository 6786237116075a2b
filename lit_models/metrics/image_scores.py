"""PSNR and SSIM of generated or reconstructed images."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

SSIM_RADIUS = 5  # of its Gaussian window


def by_image(scores: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """``{"psnr": (N,), ...}`` of the scores of N images by name, which all of them have."""
    return {name: torch.stack([one[name].flatten()[0] for one in scores]) for name in scores[0]}


def image_scores(copy: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """PSNR in dB and SSIM of one image ``(1, C, H, W)`` in [0, 1], in float32.

    SSIM is NaN where a side of the image is no longer than the radius of its window, 5 px.
    """
    ssim = torch.tensor(torch.nan)
    if min(copy.shape[-2:]) > SSIM_RADIUS:
        with torch.autocast(copy.device.type, enabled=False):  # SSIM has convolutions
            ssim = cast(Tensor, structural_similarity_index_measure(copy, truth, data_range=1.0))
    return {"psnr": peak_signal_noise_ratio(copy, truth, data_range=1.0), "ssim": ssim}
