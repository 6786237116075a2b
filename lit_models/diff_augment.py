"""DiffAugment: what keeps a discriminator from learning a few hundred images by heart."""

import torch
import torch.nn.functional as F
from torch import Tensor


def diff_augment(
    templates: Tensor, images: Tensor, colour: float, shift: int
) -> tuple[Tensor, Tensor]:
    """Random brightness, contrast and shift of each sample, differentiable, on any device.

    Source: arXiv:2006.10738. Templates are shifted with their image, else the pair would no longer
    fit; grey values are those of the image alone.

    Args:
        templates: ``(N, C, H, W)``.
        images: ``(N, 1, H, W)`` in [-1, 1]; the result may leave it.
        colour: width of the range of brightness (around 0) and contrast (around 1).
        shift: largest shift in pixels, both ways; zeros come in.
    """
    n, _, height, width = images.shape
    brightness, contrast = (torch.rand(2, n, 1, 1, 1, device=images.device) - 0.5) * colour
    images = images + brightness
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (1 + contrast)
    pair = F.pad(torch.cat([templates, images], 1), [shift] * 4)
    top, left = torch.randint(2 * shift + 1, (2, n, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.arange(width, device=images.device)
    sample = torch.arange(n, device=images.device)[:, None, None]
    pair = pair.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]
    pair = pair.permute(0, 3, 1, 2)
    return pair[:, :-1], pair[:, -1:]
