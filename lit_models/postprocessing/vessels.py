"""Vessel probabilities of a photograph of any size and scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval, OpenUnitInterval
from torch import Tensor, nn

from common.errors import DataError
from common.ranges import PositiveFinite, TileSide

EPS = 1e-6  # probability whose logit is still finite


@dataclass(frozen=True)
class VesselPostprocessor:
    """How a segmentation network is asked after training.

    Args:
        threshold: probability above which a pixel is called vessel; choose it by
            ``val/fov/best_threshold_pooled``.
        tta: test-time augmentation: how many views of an image to average: 1, with its mirror
            images 4, with the quarter turns of these 8.
        scales: sizes at which to look at an image, of which that with the highest confidence is
            taken: the greatest expected precision, sum(p^2) / sum(p). Cameras of a narrower angle
            show wider vessels in the same field of view.
        expected_vessel_fraction: fraction of the field of view that vessels are expected to cover
            in photographs of another camera. Logits are shifted until the vessel mask covers
            ``expected_vessel_fraction ** prior_weight * found ** (1 - prior_weight)``, where
            ``found`` is the fraction before; null leaves them as they are.
        prior_weight: how much the expectation counts beside what the network found.
        tile: side in px, 64 or more, above which an image is cut into tiles that overlap by an
            eighth or a little more.

    Raises:
        DataError: no scale; a share with a threshold of 0 or 1.
    """

    threshold: ClosedUnitInterval = 0.5
    tta: Literal[1, 4, 8] = 1
    scales: Sequence[PositiveFinite] = (1.0,)
    expected_vessel_fraction: OpenUnitInterval | None = None
    prior_weight: ClosedUnitInterval = 0.75
    tile: TileSide = 768

    def __post_init__(self) -> None:
        if self.expected_vessel_fraction is not None and not 0 < self.threshold < 1:
            raise DataError(
                "model.inference.expected_vessel_fraction: needs a threshold between 0 and 1, not "
                f"{self.threshold:g}"
            )
        if not self.scales:
            raise DataError("model.inference.scales: empty; give 1.0 to look at an image as it is")

    def predict(
        self,
        network: nn.Module,
        images: Tensor,
        fov: Tensor | None = None,
        other_camera: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Probability, and how far the views of an image disagree.

        Args:
            network: gives logits ``(N, 1, H, W)``.
            images: as the network takes them.
            fov: bool ``(N, 1, H, W)``, the pixels that count for a scale's confidence and the share
                of vessel; None: all.
            other_camera: bool ``(N,)``, which images are of another camera; None: none of them.

        Returns:
            Probability and standard deviation over the views (0 to 0.5; None where there is one
            view), float32 ``(N, 1, H, W)``.
        """
        mean, std = self._at_best_scale(network, images, fov)
        if (
            self.expected_vessel_fraction is not None
            and other_camera is not None
            and other_camera.any()
        ):
            inside = torch.ones_like(mean, dtype=torch.bool) if fov is None else fov
            mean = torch.where(
                other_camera[:, None, None, None], self.match_vessel_fraction(mean, inside), mean
            )
        return mean, std

    def match_vessel_fraction(self, probability: Tensor, fov: Tensor) -> Tensor:
        """Probabilities whose threshold calls the share of vessel that is expected.

        Where the threshold calls nothing they stay. Can be traced.

        Args:
            probability: ``(N, 1, H, W)``.
            fov: bool, likewise.
        """
        assert self.expected_vessel_fraction is not None
        falling = probability.where(fov, -1.0).flatten(1).sort(dim=1, descending=True).values
        pixels = fov.flatten(1).sum(dim=1).clamp_min(1)
        called = (falling > self.threshold).sum(dim=1) / pixels
        share = self.expected_vessel_fraction**self.prior_weight * called ** (1 - self.prior_weight)
        wanted = (share * pixels * (called > 0)).round().long()
        last = falling.gather(1, (wanted - 1).clamp_min(0)[:, None])
        shift = math.log(self.threshold / (1 - self.threshold)) - last.logit(EPS)
        shift = shift.where(wanted[:, None] > 0, 0.0)[..., None, None]
        return (probability.logit(EPS) + shift).sigmoid()

    def _at_best_scale(
        self, network: nn.Module, images: Tensor, fov: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
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


def scaled_down(batch: dict[str, Any]) -> Tensor:
    """Bool ``(N,)``, the photographs of a batch that had more pixels than the network's input.

    They are of another camera where ``data.inputs.diameter`` is the training's own, and their
    vessels are drawn more narrowly.
    """
    return (batch["input_size"] < batch["native_size"]).any(dim=1).to(batch["image"].device)


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
