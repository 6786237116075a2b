"""The probability of each integer of a latent, from those decoded before it.

Source: Minnen et al., "Joint autoregressive and hierarchical priors", 2018 (arXiv 1809.02736).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ContextPrior(nn.Module):
    """A Laplace distribution for each latent value, from the values above and to the left of it.

    Args:
        channels: of the latent.
        hidden: features between the two layers.
        context_radius: how many rows above and columns to each side are read.
    """

    def __init__(self, channels: int, hidden: int = 96, context_radius: int = 2) -> None:
        super().__init__()
        side = 2 * context_radius + 1
        self.context_radius = context_radius
        self.context = nn.Conv2d(channels, hidden, side, padding=context_radius)
        self.head = nn.Conv2d(hidden, 2 * channels, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        causal_mask = torch.arange(side * side).view(side, side) < side * side // 2
        self.register_buffer("causal_mask", causal_mask.float(), persistent=False)
        self.causal_mask: Tensor

    def forward(self, latent: Tensor, latent_std: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale, each as ``latent`` ``(N, C, h, w)``.

        Args:
            latent: integer values; only those earlier in reading order count for each place.
            latent_std: standard deviation of each channel, ``(C, 1, 1)``.
        """
        features = F.conv2d(
            latent / latent_std,
            self.context.weight * self.causal_mask,
            self.context.bias,
            padding=self.context_radius,
        )
        mean, log_scale = self.head(F.relu(features)).chunk(2, dim=1)
        return mean * latent_std, (log_scale.clamp(-7, 4).exp() * latent_std).clamp_min(0.02)


def laplace_bits(values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Bits that an ideal coder takes for integers under a Laplace distribution, elementwise."""
    laplace = torch.distributions.Laplace(mean.float(), scale.float(), validate_args=False)
    values = values.float()
    probability = laplace.cdf(values + 0.5) - laplace.cdf(values - 0.5)
    return -probability.clamp_min(1e-6).log2()
