"""Vessel probabilities of a photograph of any size and scale."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval
from torch import Tensor, nn

from common.errors import DataError
from common.ranges import PositiveFinite, TileSide


@dataclass(frozen=True)
class VesselPostprocessor:
    """Inference settings of a segmentation network.

    Args:
        threshold: probability above which a pixel is called vessel; choose it by
            ``val/fov/best_threshold_pooled``.
        centerline: low and high probability of the hysteresis that finds center lines of faint
            vessels for the measures, see `measure_vessels`; null measures the mask alone.
        tta: test-time augmentation: how many views of an image to average: 1, with its mirror
            images 4, with the quarter turns of these 8.
        scales: sizes at which to look at an image, of which that with the highest confidence is
            taken: the greatest expected precision, sum(p^2) / sum(p). Cameras of a narrower angle
            show wider vessels in the same field of view.
        tile: side in px, 64 or more, above which an image is cut into tiles that overlap by an
            eighth or a little more.

    Raises:
        DataError: no scale.
    """

    threshold: ClosedUnitInterval = 0.5
    centerline: tuple[ClosedUnitInterval, ClosedUnitInterval] | None = None
    tta: Literal[1, 4, 8] = 1
    scales: Sequence[PositiveFinite] = (1.0,)
    tile: TileSide = 768

    def __post_init__(self) -> None:
        if not self.scales:
            raise DataError("model.inference.scales: empty; give 1.0 to look at an image as it is")

    def predict(
        self, network: nn.Module, images: Tensor, fov: Tensor, fov_only: bool = False
    ) -> dict[str, Tensor]:
        """Probability, and how far the views of an image disagree. Can be exported.

        Args:
            network: gives logits ``(N, 1, H, W)``.
            images: as the network takes them.
            fov: bool ``(N, 1, H, W)``, the pixels that count for a scale's confidence.
            fov_only: nothing outside the field of view is vessel.

        Returns:
            ``probability`` and, with test-time augmentation, ``uncertainty``, the standard
            deviation over the views (0 to 0.5), float32 ``(N, 1, H, W)``.
        """
        found = self._at_best_scale(network, images, fov)
        return {kind: maps * fov if fov_only else maps for kind, maps in found.items()}

    def predict_native(
        self, network: nn.Module, batch: dict[str, Any], fov_only: bool
    ) -> dict[str, list[Tensor]]:
        """What `predict` returns of each photograph, float32 ``(H, W)`` at the size of its file.

        Args:
            network: gives logits ``(N, 1, H, W)``.
            batch: of photographs, see `datamodules.fundus_input.collate`.
            fov_only: nothing outside the field of view is vessel.
        """
        found = self.predict(network, batch["image"], batch["fov"], fov_only)
        return {kind: native_maps(maps, batch) for kind, maps in found.items()}

    def _at_best_scale(self, network: nn.Module, images: Tensor, fov: Tensor) -> dict[str, Tensor]:
        if len(self.scales) == 1:
            return self._averaged(network, images, self.scales[0], self.tta)
        first = [self._averaged(network, images, scale, 1) for scale in self.scales]
        inside = [maps["probability"] * fov for maps in first]
        sums = [(p.square().sum((1, 2, 3)), p.sum((1, 2, 3))) for p in inside]
        best = torch.stack([a / b.clamp_min(1e-6) for a, b in sums]).argmax(dim=0)
        if torch.compiler.is_exporting():  # a graph cannot choose what it computes by a value
            every = [self._averaged(network, images, scale, self.tta) for scale in self.scales]
            chosen = F.one_hot(best, len(every)).T[..., None, None, None]
            stacked = {kind: torch.stack([maps[kind] for maps in every]) for kind in every[0]}
            return {kind: (maps * chosen).sum(dim=0) for kind, maps in stacked.items()}
        found = [
            self._averaged(network, images[i : i + 1], self.scales[scale], self.tta)
            for i, scale in enumerate(best.tolist())
        ]
        return {kind: torch.cat([maps[kind] for maps in found]) for kind in found[0]}

    def _averaged(
        self, network: nn.Module, images: Tensor, scale: float, views: int
    ) -> dict[str, Tensor]:
        """Mean of the views' probabilities and, of several, their standard deviation."""
        size = images.shape[-2:]
        if scale != 1:
            sides = [_scaled(side, scale) for side in size]
            scaled = F.interpolate(images.float(), sides, mode="bilinear", antialias=True)
            images = scaled.to(images.dtype)
        mirrors: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)][:views]
        found: list[Tensor] = []
        for turns in range(max(1, views // 4)):
            turned = images.rot90(turns, (-2, -1))
            flipped = [turned.flip(axes) for axes in mirrors]
            if torch.compiler.is_exporting():  # a graph has the network once for all of them
                every = network(torch.cat(flipped)).float().unflatten(0, (len(flipped), -1))
            else:
                every = [self._tiled(network, view) for view in flipped]
            for logits, axes in zip(every, mirrors, strict=True):
                found.append(logits.flip(axes).rot90(-turns, (-2, -1)).sigmoid())
        maps = {"probability": sum(found[1:], found[0]) / views}
        if views > 1:
            maps["uncertainty"] = torch.stack(found).std(dim=0, correction=0)
        return maps if scale == 1 else {k: resample_maps(one, size) for k, one in maps.items()}

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
                sides = (torch.arange(1, n + 1, device=total.device) for n in logits.shape[-2:])
                ramps = (side.minimum(side.flip(0)).clamp_max(self.tile // 8) for side in sides)
                down, across = (ramp.float() for ramp in ramps)
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


def native_maps(maps: Tensor, batch: Mapping[str, Any]) -> list[Tensor]:
    """Each map ``(H, W)`` at the size of its file.

    Args:
        maps: ``(N, 1, h, w)`` in [0, 1], padded below and at the right.
        batch: ``input_size`` before that padding, and ``native_size`` of the files, ``(N, 2)``.
    """
    sizes = zip(batch["input_size"].tolist(), batch["native_size"].tolist(), strict=True)
    return [
        resample_maps(one[None, :, :h, :w], native)[0, 0]
        for one, ((h, w), native) in zip(maps, sizes, strict=True)
    ]


def resample_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps ``(N, 1, h, w)`` in [0, 1] at another size, still in [0, 1]."""
    if list(maps.shape[-2:]) == list(size):
        return maps
    # The weights of a pixel may sum to 1 + 1e-7.
    return F.interpolate(maps, list(size), mode="bilinear", antialias=True).clamp(0, 1)


def _scaled(side: int, scale: float) -> int:
    """``round(side * scale)`` by integers alone, for the sides of a graph; halves go up."""
    ratio = Fraction(scale).limit_denominator(10**4)
    return max(1, (2 * side * ratio.numerator + ratio.denominator) // (2 * ratio.denominator))
