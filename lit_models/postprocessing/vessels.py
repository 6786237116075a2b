"""Vessel probabilities of a photograph of any size and scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval
from torch import Tensor, nn

from common.errors import DataError
from common.ranges import PositiveFinite, TileSide


@dataclass(frozen=True)
class VesselPostprocessor:
    """How a segmentation network is asked after training.

    Args:
        threshold: probability above which a pixel is called vessel; choose it by
            ``val/fov/best_threshold_pooled``.
        centerline: low and high probability of the hysteresis that finds center lines of faint
            vessels for the measures, see `trace_vessels`; null measures the mask alone.
        tta: test-time augmentation: how many views of an image to average: 1, with its mirror
            images 4, with the quarter turns of these 8.
        scales: sizes at which to look at an image, of which that with the highest confidence is
            taken: the greatest expected precision, sum(p^2) / sum(p). Cameras of a narrower angle
            show wider vessels in the same field of view.
        tile: side in px, 64 or more, above which an image is cut into tiles that overlap by an
            eighth or a little more.

    Raises:
        DataError: no scale; center-line thresholds in the wrong order.
    """

    threshold: ClosedUnitInterval = 0.5
    centerline: tuple[ClosedUnitInterval, ClosedUnitInterval] | None = None
    tta: Literal[1, 4, 8] = 1
    scales: Sequence[PositiveFinite] = (1.0,)
    tile: TileSide = 768

    def __post_init__(self) -> None:
        if self.centerline is not None and self.centerline[0] > self.centerline[1]:
            raise DataError(
                f"model.inference.centerline: {list(self.centerline)}; give the lower one first"
            )
        if not self.scales:
            raise DataError("model.inference.scales: empty; give 1.0 to look at an image as it is")

    def predict(
        self, network: nn.Module, images: Tensor, fov: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Probability, and how far the views of an image disagree.

        Args:
            network: gives logits ``(N, 1, H, W)``.
            images: as the network takes them.
            fov: bool ``(N, 1, H, W)``, the pixels that count for a scale's confidence; None: all.

        Returns:
            Probability and standard deviation over the views (0 to 0.5; None where there is one
            view), float32 ``(N, 1, H, W)``.
        """
        if len(self.scales) == 1:
            return self._averaged(network, images, self.scales[0], self.tta)
        found = []
        for i in range(len(images)):
            image, inside = images[i : i + 1], 1.0 if fov is None else fov[i : i + 1]
            confidence = []
            for scale in self.scales:
                p = self._averaged(network, image, scale, 1)[0] * inside
                confidence.append(p.square().sum() / p.sum().clamp_min(1e-6))
            best = int(torch.stack(confidence).argmax())
            found.append(self._averaged(network, image, self.scales[best], self.tta))
        means, stds = zip(*found, strict=True)
        return torch.cat(means), None if self.tta == 1 else torch.cat(stds)

    def _averaged(
        self, network: nn.Module, images: Tensor, scale: float, views: int
    ) -> tuple[Tensor, Tensor | None]:
        size = images.shape[-2:]
        if scale != 1:
            scaled = [max(1, round(side * scale)) for side in size]
            images = F.interpolate(images, scaled, mode="bilinear", antialias=True)
        total, squares = torch.zeros(()), torch.zeros(())
        for view in range(views):
            axes = [(), (-1,), (-2,), (-2, -1)][view % 4]
            turned = images.rot90(view // 4, (-2, -1)).flip(axes)
            logits = self._tiled(network, turned).flip(axes).rot90(-(view // 4), (-2, -1))
            probability = logits.sigmoid()
            if view:  # Welford's sum of squares: a difference of sums would lose small deviations
                surprise = probability - total / view
                squares = squares.to(logits) + surprise.square() * (view / (view + 1))
            total = total.to(logits) + probability
        std = None if views == 1 else (squares / views).sqrt()
        if scale != 1:
            total = F.interpolate(total, size, mode="bilinear", antialias=True)
            if std is not None:
                std = F.interpolate(std, size, mode="bilinear", antialias=True)
        return total / views, std

    def _tiled(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits, float32, in memory that hardly grows with the image.

        Where tiles overlap, each counts by how far a pixel lies from its edge, for a convolution
        knows nothing beyond it.
        """
        height, width = images.shape[-2:]
        if max(height, width) <= self.tile:
            return network(images).float()
        total = images.new_zeros(len(images), 1, height, width, dtype=torch.float32)
        weights = torch.zeros_like(total)
        for rows in self.spans(height):
            for columns in self.spans(width):
                logits = network(images[..., rows, columns]).float()
                ramps = (
                    torch.arange(1, n + 1, device=total.device).minimum(
                        torch.arange(n, 0, -1, device=total.device)
                    )
                    for n in logits.shape[-2:]
                )
                down, across = (ramp.clamp_max(self.tile // 8).float() for ramp in ramps)
                weight = (down[:, None] * across).square()
                total[..., rows, columns] += weight * logits
                weights[..., rows, columns] += weight
        return total / weights

    def spans(self, side: int) -> list[slice]:
        """Tiles along a side: as few as overlap by an eighth, at even distances of whole 32 px."""
        if side <= self.tile:
            return [slice(0, side)]
        step = self.tile * 7 // 8 // 32 * 32
        count = math.ceil((side - self.tile) / step) + 1
        starts = [(side - self.tile) * i // (count - 1) // 32 * 32 for i in range(count)]
        tiles = [slice(start, start + self.tile) for start in starts[:-1]]
        return [*tiles, slice(starts[-1], side)]


def native_maps(probability: Tensor, input_size: Tensor, native_size: Tensor) -> list[Tensor]:
    """Each map ``(H, W)`` at the size of its file.

    Args:
        probability: ``(N, 1, h, w)``, padded below and at the right.
        input_size: ``(N, 2)`` before that padding.
        native_size: ``(N, 2)`` of the files.
    """
    sizes = zip(input_size.tolist(), native_size.tolist(), strict=True)
    return [
        p[0, :h, :w]
        if [h, w] == native
        else F.interpolate(p[None, :, :h, :w], native, mode="bilinear", antialias=True)[0, 0]
        for p, ((h, w), native) in zip(probability, sizes, strict=True)
    ]
