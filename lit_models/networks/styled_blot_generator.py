"""Generator of Western blots in a given style.

It refines `render_blot`, a blot made from template and style without learning. Images are in
[-1, 1], styles ``(N, 8)`` in the order of `datamodules.blot_style.NAMES`, both float32: grain of a
tenth of a gray level would drown in less.

Blots are sampled by `seeded_blots` and `complete_styles`, whose draws depend on the pixels of the
templates: a pair gives the same blot alone, in a batch and in any process.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn

from common.ranges import NonNegativeFinite
from datamodules.blot_draws import checksum, draw_noise, draw_styles

# Of real blots' styles as the network takes them: strengths of grain as log2(1/8 + gray levels).
STYLE_MEAN = (187.0, 54.0, 0.0, 0.0, 3.2, 0.0, 0.6, -0.3)
STYLE_SCALE = (32.0, 40.0, 12.0, 14.0, 2.0, 1.2, 0.9, 1.3)
BANDS = 9  # of `color_noise`
# Of middle and fine grain in each band before anything is learned.
SHARES = ((0.8, 0, 0, 0, 0, 0, 0, 0, 0), (0, 0.4, 0.2, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1))


def gaussian_blur(images: Tensor, sigma: Tensor | float, radius: int) -> Tensor:
    """``(N, C, H, W)`` with a sigma in px, or one for each sample ``(N,)``; edges replicated."""
    n, c, height, width = images.shape
    sigmas = torch.as_tensor(sigma, dtype=images.dtype, device=images.device).expand(n)
    if torch.compiler.is_exporting():  # ONNX's convolutions have no free number of groups
        return _blur_by_products(images, sigmas, radius)
    steps = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (steps / sigmas[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)
    x = F.pad(images.reshape(1, n * c, height, width), [radius] * 4, mode="replicate")
    x = F.conv2d(x, kernel[:, None, :, None], groups=n * c)
    x = F.conv2d(x, kernel[:, None, None, :], groups=n * c)
    return x.view(n, c, height, width)


def _blur_by_products(images: Tensor, sigmas: Tensor, radius: int) -> Tensor:
    """The same as a product with a band matrix from each side, for any batch and size."""

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


class FiLM(nn.Module):
    """Scales and shifts each channel, and adds noise, as the style says (arXiv 1709.07871)."""

    def __init__(self, code: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code, 3 * channels)
        nn.init.normal_(self.linear.weight, 0, 0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        scale, shift, strength = self.linear(code)[:, :, None, None].chunk(3, 1)
        return x * (1 + scale) + shift + strength * noise.to(x.dtype)


class Block(nn.Module):
    """Convolution, FiLM, leaky ReLU; takes white noise ``(N, 1, H, W)`` of its output's size."""

    def __init__(self, inputs: int, outputs: int, code: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 4 if stride == 2 else 3, stride, 1)
        self.film = FiLM(code, outputs)
        nn.init.kaiming_normal_(self.conv.weight, 0.2)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, code: Tensor, noise: Tensor) -> Tensor:
        return F.leaky_relu(self.film(self.conv(x), code, noise), 0.2)


class StyledBlotGenerator(nn.Module):
    """U-Net that refines the output of `render_blot` and adds grain; the identity at first.

    The style modulates each level (FiLM), where noise enters too. Grain is white noise in nine
    bands of frequency, whose strength at each pixel the network gives. For sides of 16 px or more.

    Args:
        width: channels at full resolution; twice and four times that below.
        code: width of the style's embedding.
        levels: halvings.
        eval_grain: factor of the grain outside of training. The grain that is learned also pays for
            faint bands, scratches and blocks that no template tells, and is too much.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        width: PositiveInt = 16,
        code: PositiveInt = 64,
        levels: PositiveInt = 3,
        eval_grain: NonNegativeFinite = 0.5,
    ) -> None:
        super().__init__()
        self.eval_grain = eval_grain
        self.multiple = 2**levels
        self.noise_channels = BANDS + 2 * levels + 3
        self.register_buffer("mean", torch.tensor(STYLE_MEAN))
        self.register_buffer("scale", torch.tensor(STYLE_SCALE))
        self.code = nn.Sequential(
            nn.Linear(8, code), nn.LeakyReLU(0.2), nn.Linear(code, code), nn.LeakyReLU(0.2)
        )
        widths = [width * min(2**i, 4) for i in range(levels + 1)]
        self.first = Block(6, width, code)
        self.down = nn.ModuleList(Block(widths[i], widths[i + 1], code, 2) for i in range(levels))
        self.middle = Block(widths[-1], widths[-1], code)
        self.up = nn.ModuleList(
            Block(widths[i + 1] + widths[i], widths[i], code) for i in reversed(range(levels))
        )
        self.last = Block(width, width, code)
        self.out = nn.Conv2d(width, 1 + BANDS, 3, padding=1)
        nn.init.normal_(self.out.weight, 0, 1e-3)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def noise_size(self, templates: Tensor) -> tuple[int, int, int]:
        """Channels, height and width of the noise for templates; sides are padded to a multiple."""
        # Not -(-side // multiple): ONNX divides negative numbers otherwise.
        sides = ((side + self.multiple - 1) // self.multiple for side in templates.shape[-2:])
        height, width = (side * self.multiple for side in sides)
        return self.noise_channels, height, width

    def forward(
        self, templates: Tensor, styles: Tensor, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The blots without and with grain, the latter as 8 bits hold it, ``(N, 1, H, W)``.

        Args:
            templates: ``(N, 2, H, W)`` in [-1, 1].
            styles: ``(N, 8)``.
            noise: normal, of `noise_size`; None draws it.
        """
        if noise is None:
            shape = len(templates), *self.noise_size(templates)
            noise = torch.randn(shape, device=templates.device)
        size = templates.shape[-2:]
        pad = [0, noise.shape[-1] - size[1], 0, noise.shape[-2] - size[0]]
        templates = F.pad(templates.float(), pad, mode="replicate")
        with torch.autocast(templates.device.type, enabled=False):
            rendered = render_blot(templates, styles)
            colored = color_noise(noise[:, :BANDS])
            parts = [templates, rendered, rendered - gaussian_blur(rendered, 2.0, 8)]
            inputs = torch.cat([*parts, colored[:, :1], colored[:, 4:5]], 1)
            fine, middle = grain_strengths(styles)
            shares = styles.new_tensor(SHARES)[:, :, None, None]
            strengths = middle * shares[0] + fine * shares[1] + 0.1 / 127.5
        # In the type of the weights, which a precision may set.
        out = self._unet(*(x.to(self.mean) for x in (inputs, styles, noise[:, BANDS:]))).float()
        clean = rendered + out[:, :1]
        grain = (strengths * torch.exp(out[:, 1:].clamp(-5, 3)) * colored).sum(1, keepdim=True)
        grain = grain if self.training else self.eval_grain * grain
        inside = np.s_[..., : size[0], : size[1]]
        return clean[inside], round_to_8_bits((clean + grain)[inside])

    def _unet(self, x: Tensor, styles: Tensor, noise: Tensor) -> Tensor:
        logs = torch.cat([styles[:, :5], torch.log2(0.125 + styles[:, 5:])], 1)
        code = self.code((logs - self.mean) / self.scale)
        levels = [*range(len(self.down) + 1), *reversed(range(len(self.down) + 1)), 0]
        every = zip(noise.split(1, 1), (2**level for level in levels), strict=True)
        channels = (one[..., ::step, ::step] for one, step in every)
        x = self.first(x, code, next(channels))
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x, code, next(channels))
        x = self.middle(x, code, next(channels))
        for block in self.up:
            x = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skips.pop()], 1)
            x = block(x, code, next(channels))
        return self.out(self.last(x, code, next(channels)))


def seeded_blots(
    generator: StyledBlotGenerator, templates: Tensor, styles: Tensor, samples: Sequence[int] = ()
) -> tuple[Tensor, Tensor]:
    """Blots without and with grain, float32 ``(N, 1, H, W)`` in [-1, 1].

    Args:
        generator: in eval mode.
        templates: ``(N, 2, H, W)`` in [-1, 1].
        styles: ``(N, 8)``.
        samples: number of each of several blots of one pair, from 0; else the first.
    """
    size = generator.noise_size(templates)
    noise = np.stack([draw_noise(seed, size) for seed in blot_seeds(templates, samples)])
    clean, blots = generator(templates, styles, torch.from_numpy(noise).to(templates))
    return clean.float(), blots.float()


def blot_seeds(templates: Tensor, samples: Sequence[int] = ()) -> list[int]:
    """Seeds of the noise of blots, see `seeded_blots`; that of the first also draws styles."""
    arrays = templates.detach().float().cpu().numpy()
    numbers = samples or [0] * len(arrays)
    return [checksum(pair, number) for pair, number in zip(arrays, numbers, strict=True)]


def complete_styles(
    asked: Tensor, templates: Tensor, samples: Sequence[int], known: Tensor
) -> Tensor:
    """Styles ``(N, 8)`` with what is not asked for drawn as the known ones are distributed.

    The first of a pair's blots are of one membrane each, see `draw_styles`.

    Args:
        asked: ``(N, 8)``, NaN where a number is to be drawn.
        templates: ``(N, 2, H, W)`` in [-1, 1].
        samples: number of each of several blots of one pair, from 0.
        known: ``(M, 9)``, see `known_styles`.
    """
    rows = known_styles(known)
    drawn = [
        draw_styles(rows[:, 1:], rows[:, 0], number + 1, [seed])[-1]
        for seed, number in zip(blot_seeds(templates), samples, strict=True)
    ]
    return torch.where(asked.isnan(), torch.from_numpy(np.stack(drawn)).to(asked), asked)


def known_styles(bank: Tensor) -> np.ndarray:
    """Membrane and style, float32 ``(M, 9)``, of a bank's rows that are not empty (membrane -1).

    Before training the one row is `typical_style`.
    """
    rows = bank.detach().cpu().numpy()
    rows = rows[rows[:, 0] >= 0]
    return rows if len(rows) else np.append(np.float32(0), typical_style().numpy())[None]


def typical_style() -> Tensor:
    """Style ``(8,)`` of a blot in the middle of the real ones."""
    style = torch.tensor(STYLE_MEAN)
    return torch.cat([style[:5], 2 ** style[5:] - 0.125])
