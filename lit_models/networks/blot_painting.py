"""A blot rendered from template and style without learning, and its grain.

Images are in [-1, 1], styles ``(N, 8)`` in the order of `datamodules.blot_style.NAMES`. All in
float32: grain of a tenth of a gray level would drown in less.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(images: Tensor, sigma: Tensor | float, radius: int) -> Tensor:
    """``(N, C, H, W)`` with a sigma in px, or one for each sample ``(N,)``; edges replicated."""
    n, c, height, width = images.shape
    sigmas = torch.as_tensor(sigma, dtype=images.dtype, device=images.device).expand(n)
    if torch.compiler.is_exporting():  # ONNX's convolutions have no free number of groups
        return blur_by_products(images, sigmas, radius)
    steps = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (steps / sigmas[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    x = F.pad(images.reshape(1, n * c, height, width), [radius] * 4, mode="replicate")
    x = F.conv2d(x, kernel[:, None, :, None], groups=n * c)
    x = F.conv2d(x, kernel[:, None, None, :], groups=n * c)
    return x.view(n, c, height, width)


def blur_by_products(images: Tensor, sigmas: Tensor, radius: int) -> Tensor:
    """`gaussian_blur` as a product with a band matrix from each side, for any batch and size."""

    def band(side: int) -> Tensor:
        rows, columns = torch.arange(side)[:, None], torch.arange(side + 2 * radius)
        steps = (columns - rows - radius).to(images)
        weights = torch.exp(-0.5 * (steps / sigmas[:, None, None]) ** 2) * (steps.abs() <= radius)
        return (weights / weights.sum(2, keepdim=True))[:, None]

    x = F.pad(images, [radius] * 4, mode="replicate")
    return band(images.shape[2]) @ x @ band(images.shape[3]).mT


def render_blot(templates: Tensor, styles: Tensor) -> Tensor:
    """The blot ``(N, 1, H, W)``, without grain, of templates ``(N, 2, H, W)`` and styles.

    The bands of template 1, blurred, in their gray on a paper of a constant gradient.
    """
    height, width = templates.shape[2:]
    paper, band, right, down = (styles[:, i, None, None, None] for i in range(4))
    soft = gaussian_blur((templates[:, :1] < 0).to(styles.dtype), styles[:, 4], 24)
    x = (torch.arange(width, device=styles.device, dtype=styles.dtype) - width / 2) / 64
    y = (torch.arange(height, device=styles.device, dtype=styles.dtype) - height / 2)[:, None] / 64
    sheet = paper + right * x + down * y
    return (sheet + (band - sheet) * soft) / 127.5 - 1


def grain_strengths(styles: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations ``(N, 1, 1, 1)`` of fine and middle grain, of images in [-1, 1]."""
    return styles[:, 5, None, None, None] / 127.5, styles[:, 6, None, None, None] / 127.5


def split_grain(images: Tensor) -> tuple[Tensor, Tensor]:
    """Fine and middle grain: finer than a Gaussian of 1 px, and between those of 1 and 3 px."""
    one = gaussian_blur(images, 1.0, 4)
    return images - one, one - gaussian_blur(images, 3.0, 12)


def color_noise(noise: Tensor) -> Tensor:
    """White noise ``(N, 9, H, W)`` in nine bands: low, middle and high frequencies along each axis.

    Each has standard deviation 1; the first is the mottle between 1.5 and 4 px.
    """
    steps = torch.arange(-5, 6, dtype=noise.dtype, device=noise.device)
    fine, wide = (torch.exp(-0.5 * (steps / sigma) ** 2) for sigma in (0.6, 1.5))
    fine, wide = fine / fine.sum(), wide / wide.sum()
    one = (steps == 0).to(noise.dtype)
    axis = torch.stack([wide, fine - wide, one - fine])
    axis = axis / axis.norm(dim=1, keepdim=True)
    x = F.pad(noise, [5] * 4, mode="reflect")
    x = F.conv2d(x, axis.repeat(3, 1)[:, None, None, :], groups=9)
    x = F.conv2d(x, axis.repeat_interleave(3, 0)[:, None, :, None], groups=9)
    mottle = (x[:, :1] - gaussian_blur(x[:, :1], 3.7, 12)) / 0.93
    return torch.cat([mottle, x[:, 1:]], 1)


def round_to_8_bits(images: Tensor) -> Tensor:
    """Clipped and rounded as in a file, so that rounding does not tell generated images.

    The gradient passes, and 5 % of it where an image is clipped, so that it can come back.
    """
    clipped = images.clamp(-1, 1)
    rounded = ((clipped.detach() + 1) * 127.5).round() / 127.5 - 1
    passing = clipped + 0.05 * (images - clipped)
    return passing + (rounded - passing).detach()
