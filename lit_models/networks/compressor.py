"""An autoencoder whose latent is a small grid of 8-bit integers: image compression.

Source: Ballé et al., "End-to-end optimized image compression", 2017 (arXiv 1611.01704), for the
rate term; see `ContextPrior` for the prior.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jsonargparse.typing import PositiveInt
from torch import Tensor, nn

from common.errors import DataError
from common.ranges import NonNegativeFinite, PositiveFinite
from lit_models.networks.context_prior import ContextPrior, laplace_bits
from lit_models.networks.unet import DoubleConv, EncoderDecoder

LEVELS = 128  # latent values are -128..127


class Compressor(nn.Module):
    """A linear transform with a closed-form start, and a convolutional encoder-decoder refining it.

    Each block of ``side x side`` px becomes ``latent_channels`` integers from -128 to 127, and
    nothing else passes. At the start (`fit_linear`) the encoder is the PCA of the blocks, and the
    decoder the ridge regression of a block on its own and its eight neighbors' integers, which
    already is above the PCA and shows no block edges. Training then refines both.

    Args:
        in_channels: of the images.
        latent_channels: integers kept of each block.
        widths: of the encoder-decoder, see `EncoderDecoder`.
        patch: the encoder-decoder sees patch x patch px as one place, for speed; the block's
            ``side`` is ``patch * 2 ** (len(widths) - 1)``.
        step: quantization step in the units of the PCA's coefficients, the same for all channels
            but those whose range needs a coarser one, which is best for a given number of bits;
            None gives each channel the finest step that its range allows, which is best for a given
            number of values.
        dead_zone: by how much of a step values are drawn towards zero before rounding, which saves
            more bits than it costs in error.
    """

    def __init__(
        self,
        in_channels: PositiveInt = 3,
        latent_channels: PositiveInt = 48,
        widths: Sequence[PositiveInt] = (32, 64, 128),
        patch: PositiveInt = 4,
        step: PositiveFinite | None = None,
        dead_zone: NonNegativeFinite = 0.0,
    ) -> None:
        super().__init__()
        self.patch, self.step, self.dead_zone = patch, step, dead_zone
        values = in_channels * patch**2
        self.network = EncoderDecoder(values, values, widths, skips=False, norm="none")
        self.side = side = patch * self.network.factor
        if latent_channels > in_channels * side**2:
            raise DataError(
                f"model.network.latent_channels: {latent_channels} is more than the "
                f"{in_channels * side**2} values of a block"
            )
        self.analysis = nn.Conv2d(in_channels, latent_channels, side, stride=side)
        self.synthesis = nn.ConvTranspose2d(
            latent_channels, in_channels, 3 * side, stride=side, padding=side, bias=False
        )
        self.mean_block = nn.Parameter(torch.zeros(in_channels, side, side))
        self.to_latent = nn.Conv2d(widths[-1], latent_channels, 1)
        self.from_latent = DoubleConv(latent_channels, widths[-1], norm="none")
        for layer in (self.to_latent, self.network.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.prior = ContextPrior(latent_channels)
        self.register_buffer("latent_std", torch.ones(latent_channels, 1, 1))
        self.register_buffer("fitted", torch.tensor(False))
        self.latent_std: Tensor
        self.fitted: Tensor

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        """What `fit_linear` sets and training should only nudge."""
        return [*self.analysis.parameters(), *self.synthesis.parameters(), self.mean_block]

    @torch.no_grad()
    def fit_linear(self, images: Sequence[Tensor], ridge: float = 10.0) -> None:
        """Set the linear transform, see the class, from ``images``, each ``(C, H, W)``.

        Args:
            images: in [-1, 1]; blocks that they do not fill are left out. The computation is in
                float64 on the CPU, for not every device has it.
            ridge: added to the sums of squares of the regression, in squared integers.
        """
        side, channels = self.side, self.analysis.out_channels
        grids = [F.unfold(x[None].cpu(), side, stride=side)[0].T.double() for x in images]
        blocks = torch.cat(grids)
        mean = blocks.mean(dim=0)
        basis = torch.linalg.eigh(torch.cov((blocks - mean).T)).eigenvectors.flip(1)[:, :channels]
        coefficients = (blocks - mean) @ basis
        # A channel without signal (images of one color) has no range; no copy needs a finer step.
        step = (coefficients.abs().amax(dim=0) / (LEVELS - 1)).clamp_min(1e-4)
        if self.step is not None:
            step.clamp_min_(self.step)
        # Rows and columns of blocks, then each place with the eight around it, zero outside.
        around = torch.cat(
            [
                F.unfold(
                    self.quantize((grid - mean) @ (basis / step)).T.reshape(
                        1, channels, image.shape[-2] // side, -1
                    ),
                    3,
                    padding=1,
                )[0].T
                for grid, image in zip(grids, images, strict=True)
            ]
        )
        squares = around.T @ around
        squares.diagonal().add_(ridge)
        kernel = torch.linalg.solve(squares, around.T @ (blocks - mean))
        # What a block takes from below it, its lower neighbor gives to the block above.
        kernel = kernel.reshape(channels, 3, 3, -1, side, side).flip(1, 2)
        self.analysis.weight.copy_((basis / step).T.reshape(channels, -1, side, side))
        self.analysis.bias.copy_(-(mean @ basis) / step)  # type: ignore[union-attr]
        self.synthesis.weight.copy_(
            kernel.permute(0, 3, 1, 4, 2, 5).reshape(self.synthesis.weight.shape)
        )
        self.mean_block.copy_(mean.reshape(self.mean_block.shape))
        # Channels that are mostly zero are not blown up.
        self.latent_std.copy_((coefficients.std(dim=0) / step).clamp_min(1).view(-1, 1, 1))
        self.fitted.fill_(True)

    def encode(self, images: Tensor) -> Tensor:
        """Latent before rounding, ``(N, latent_channels, h, w)``, of ``(N, C, H, W)`` in [-1, 1].

        Sizes that are no multiple of ``side`` are padded below and at the right.
        """
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % self.side, 0, -height % self.side), mode="replicate")
        features = self.network.encode(F.pixel_unshuffle(images, self.patch))[-1]
        refinement = self.to_latent(features)
        # bf16 has 8 digits, an integer of the latent as many: what is rounded must be exact.
        with torch.autocast(images.device.type, enabled=False):
            return self.analysis(images.float()) + refinement.float()

    def quantize(self, latent: Tensor) -> Tensor:
        """Integers from -128 to 127, with the gradient of no rounding."""
        return latent + (self._rounded(latent) - latent).detach()

    def _rounded(self, latent: Tensor) -> Tensor:
        towards_zero = latent - latent.clamp(-self.dead_zone, self.dead_zone)
        return towards_zero.round().clamp(-LEVELS, LEVELS - 1)

    def decode(self, integers: Tensor) -> Tensor:
        """Images ``(N, C, h * side, w * side)``, not clamped, from what `quantize` returns."""
        features = self.from_latent(integers / self.latent_std)
        refined = F.pixel_shuffle(self.network.decode([features]), self.patch)
        mean = self.mean_block.repeat(1, *integers.shape[-2:])
        with torch.autocast(integers.device.type, enabled=False):
            return self.synthesis(integers.float()) + mean + refined.float()

    def bits(self, latent: Tensor) -> Tensor:
        """Estimated bits of the whole batch, differentiable."""
        values = self.quantize(latent)
        with torch.autocast(latent.device.type, enabled=False):
            return laplace_bits(values, *self.prior(values, self.latent_std)).sum()

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Copies ``(N, C, H, W)`` made through the integers, and the batch's estimated bits."""
        height, width = images.shape[-2:]
        latent = self.encode(images)
        return self.decode(self.quantize(latent))[..., :height, :width], self.bits(latent)

    def forward(self, images: Tensor) -> Tensor:
        """Copies ``(N, C, H, W)`` made through the integers."""
        return self.reconstruct(images)[0]

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Channels, rows and columns of the latent of an image of this size."""
        rows, columns = math.ceil(height / self.side), math.ceil(width / self.side)
        return self.analysis.out_channels, rows, columns
