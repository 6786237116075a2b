"""DiffAugment: augmentation that keeps a discriminator from overfitting a few hundred images."""

import torch
import torch.nn.functional as F
from jsonargparse.typing import NonNegativeInt
from torch import Tensor, nn

from common.ranges import NonNegativeFinite


class DiffAugment(nn.Module):
    """Random brightness, contrast and shift of each sample, differentiable (arXiv 2006.10738).

    Templates are shifted with their image, else the pair would no longer fit; gray values are those
    of the image alone.

    Args:
        color: width of the range of brightness (around 0) and contrast (around 1).
        shift: largest shift in px, both ways; zeros come in.
    """

    def __init__(self, color: NonNegativeFinite = 0.5, shift: NonNegativeInt = 8) -> None:
        super().__init__()
        self.color, self.shift = color, shift

    def forward(self, templates: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Templates ``(N, C, H, W)`` and images ``(N, 1, H, W)``, in [-1, 1] before."""
        n, _, height, width = images.shape
        uniform = torch.rand(2, n, 1, 1, 1, device=images.device) - 0.5
        brightness, contrast = uniform * self.color
        images = images + brightness
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * (1 + contrast)
        pair = F.pad(torch.cat([templates, images], 1), [self.shift] * 4)
        top, left = torch.randint(2 * self.shift + 1, (2, n, 1), device=images.device)
        rows = top + torch.arange(height, device=images.device)
        columns = left + torch.arange(width, device=images.device)
        sample = torch.arange(n, device=images.device)[:, None, None]
        pair = pair.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]
        pair = pair.permute(0, 3, 1, 2)
        return pair[:, :-1], pair[:, -1:]
