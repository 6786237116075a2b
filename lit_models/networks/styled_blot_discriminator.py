"""Discriminator of Western blots that knows their style, and augmentation of what it sees."""

import torch
import torch.nn.functional as F
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from common.ranges import NonNegativeFinite
from lit_models.networks.styled_blot_generator import grain_strengths, render_blot, split_grain


class StyledBlotDiscriminator(nn.Module):
    """A logit for each blot, the mean over patches at full size, half size ...; spectral norm.

    It has two steps, between which a view may be augmented: `view`, then `score`. In eval mode the
    logits are those above `middle`, where it is as often wrong about real blots as about generated
    ones.

    Args:
        width: channels at full resolution; twice and four times that below.
        scales: sizes at which patches are seen.
    """

    middle: Tensor

    def __init__(self, width: PositiveInt = 16, scales: PositiveInt = 2) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(()))
        self.networks = nn.ModuleList(_patches(width) for _ in range(scales))

    @staticmethod
    def view(templates: Tensor, styles: Tensor, images: Tensor) -> Tensor:
        """What is seen, ``(N, 6, H, W)``: what a blot should be like, its grain, the blot.

        Grain is divided by the style's strengths and squashed, else it would drown.

        Args:
            templates: ``(N, 2, H, W)`` in [-1, 1].
            styles: ``(N, 8)``.
            images: ``(N, 1, H, W)`` in [-1, 1].
        """
        with torch.autocast(images.device.type, enabled=False):
            pairs = zip(split_grain(images.float()), grain_strengths(styles), strict=True)
            grain = [torch.tanh(x / (expected + 0.25 / 127.5) / 3) for x, expected in pairs]
            return torch.cat([templates, render_blot(templates, styles), *grain, images], 1)

    def score(self, view: Tensor) -> Tensor:
        """Logits ``(N, 1)``, float32."""
        views = (F.avg_pool2d(view, 2**i) if i else view for i in range(len(self.networks)))
        logits = [
            network(x.to(self.middle)).float().mean((2, 3))
            for network, x in zip(self.networks, views, strict=True)
        ]
        mean = torch.stack(logits).mean(0)
        return mean if self.training else mean - self.middle

    def forward(self, templates: Tensor, styles: Tensor, images: Tensor) -> Tensor:
        """Logits ``(N, 1)`` of blots, see `view`."""
        return self.score(self.view(templates, styles, images))

    @torch.no_grad()
    def set_middle(self, real: Tensor, fake: Tensor) -> None:
        """Set `middle` by logits of real ``(N, 1)`` and of generated blots, given in eval mode."""
        logits = torch.cat([real, fake]).flatten()
        below = (real.flatten() < logits[:, None]).float().mean(1)
        above = (fake.flatten() >= logits[:, None]).float().mean(1)
        self.middle += logits[(below - above).abs().argmin()]


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


def _patches(width: int) -> nn.Sequential:
    convolutions = [
        nn.Conv2d(6, width, 3, 1, 1),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
        nn.Conv2d(4 * width, 4 * width, 3, 1, 1),
        nn.Conv2d(4 * width, 1, 3, 1, 1),
    ]
    layers: list[nn.Module] = []
    for convolution in convolutions:
        nn.init.kaiming_normal_(convolution.weight, 0.2)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    for convolution in convolutions[:-1]:
        layers += [spectral_norm(convolution), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, convolutions[-1])
