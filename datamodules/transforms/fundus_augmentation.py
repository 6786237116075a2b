"""Random variation of a fundus photograph together with its masks."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval
from torch import Tensor

from common.errors import DataError
from common.ranges import ImageSide, NonNegativeFinite, PositiveFinite
from datamodules.transforms.augmentation import Augmentation, gaussian_blur, uniform

# From where a picture is seen: rank of the center among the pixels of the field of view, from 1,
# or 0 for the middle; then cosine and sine of the angle, zoom, stretch, mirror (1 or -1), whether
# its pixels are the photograph's own, and the photograph's height and width.
View = tuple[int, list[float]]
Camera = Callable[[Tensor], Tensor]  # what it makes of a picture (C, h, w)
Light = tuple[Tensor, Tensor, Tensor]  # mixture (C, C), brightness (C,), noise (C, h, w)


class FundusAugmentation(Augmentation):
    """Another crop, turn, size and light of one picture and its masks.

    Intensities vary in units of the normalized image, whose standard deviation is 1. Each default
    is of the recipe in configs/vessels_best.yaml, those of other cameras of
    configs/overlays/other_cameras.yaml.

    Args:
        crop: side in px of what is cut out around a random point of the field of view; null keeps
            the whole picture.
        no_resample_prob: probability that a picture is not resampled, but flipped, rotated by
            multiples of 90 degrees and cropped only. Resampling blurs the rims of vessels,
            where most errors lie, and photographs at inference are sharp.
        zoom: least and greatest magnification of the others, drawn evenly in its logarithm.
        aspect: their width and height differ by up to ``exp(2 aspect)``.
        contrast: all channels are multiplied by up to ``exp(contrast)``, or divided by it.
        channel_contrast: the same for each channel on its own.
        brightness: standard deviation of what is added to each channel.
        channel_mixing: standard deviation of what each channel takes from each.
        noise: the greatest standard deviation of noise.
        other_camera_prob: probability that a picture looks like another camera's: softer,
            sharpened or noisier. Without, a network draws vessels too wide in soft photographs,
            and too few in noisy ones.
        blur: greatest standard deviation of the other cameras' Gaussian blur, in px.
        sharpening: greatest gain of their unsharp masking.
        camera_noise: greatest standard deviation of their noise.

    Raises:
        DataError: the least zoom is above the greatest.
    """

    def __init__(
        self,
        crop: ImageSide | None = 160,
        no_resample_prob: ClosedUnitInterval = 0.75,
        zoom: tuple[PositiveFinite, PositiveFinite] = (0.75, 1.6),
        aspect: NonNegativeFinite = 0.1,
        contrast: NonNegativeFinite = 0.35,
        channel_contrast: NonNegativeFinite = 0.15,
        brightness: NonNegativeFinite = 0.2,
        channel_mixing: NonNegativeFinite = 0.05,
        noise: NonNegativeFinite = 0.1,
        other_camera_prob: ClosedUnitInterval = 0.0,
        blur: NonNegativeFinite = 1.6,
        sharpening: NonNegativeFinite = 2.0,
        camera_noise: NonNegativeFinite = 0.35,
    ) -> None:
        super().__init__()
        if zoom[0] > zoom[1]:
            raise DataError(f"data.augmentation.zoom: {list(zoom)}; give the smaller number first")
        self.crop, self.no_resample_prob = crop, no_resample_prob
        self.zoom, self.aspect = zoom, aspect
        self.contrast, self.channel_contrast = contrast, channel_contrast
        self.brightness, self.channel_mixing, self.noise = brightness, channel_mixing, noise
        self.other_camera_prob, self.blur = other_camera_prob, blur
        self.sharpening, self.camera_noise = sharpening, camera_noise

    def batch(
        self, images: Sequence[Tensor], masks: Sequence[Tensor], fov_pixels: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Several pictures, each by its own draw, in few operations and without a wait for a GPU.

        Args:
            images: ``(C, H, W)`` each.
            masks: ``(M, H, W)`` each; the last channel is the field of view.
            fov_pixels: how many pixels each of these holds.

        Returns:
            Float ``(N, C, h, w)`` and ``(N, M, h, w)``. Resampled masks have values between 0 and 1
            at their edges, which is what part of such a pixel is vessel.
        """
        views, cameras, lights = list[View](), list[Camera](), list[Light]()
        for image, pixels in zip(images, fov_pixels, strict=True):
            size = (len(image), *(self.crop or side for side in image.shape[-2:]))
            views.append(self._draw_view(image, pixels))
            cameras.append(self._draw_camera(size, image.device))
            lights.append(self._draw_light(size, image.device))
        grid = self._grid(masks, views)
        seen_images, seen_masks = (
            torch.cat([_sample(one, grid[[i]]) for i, one in enumerate(several)])
            for several in (images, masks)
        )
        taken = [camera(image) for camera, image in zip(cameras, seen_images, strict=True)]
        mixtures, brightness, noise = map(torch.stack, zip(*lights, strict=True))
        lit = torch.einsum("nij,njhw->nihw", mixtures.to(grid), torch.stack(taken))
        return lit + brightness.to(grid)[:, :, None, None] + noise, seen_masks

    def _draw_view(self, image: Tensor, fov_pixels: int) -> View:
        rank = int(torch.randint(fov_pixels, ())) + 1 if self.crop and fov_pixels else 0
        angle = uniform(-math.pi, math.pi)
        zoom = math.exp(uniform(*map(math.log, self.zoom)))
        stretch = math.exp(uniform(-self.aspect, self.aspect))
        mirror = 1 if torch.rand(()) < 0.5 else -1
        if exact := bool(torch.rand(()) < self.no_resample_prob):
            angle, zoom, stretch = round(angle / (math.pi / 2)) * math.pi / 2, 1.0, 1.0
        turn = math.cos(angle), math.sin(angle)
        return rank, [*turn, zoom, stretch, mirror, exact, *image.shape[-2:]]

    def _draw_camera(self, size: tuple[int, ...], device: torch.device) -> Camera:
        """Thirteen of twenty are blurred, four sharpened, and all are noisy.

        Each channel keeps its standard deviation: the network's input is standardized after the
        camera.
        """
        if not self.other_camera_prob or torch.rand(()) >= self.other_camera_prob:
            return lambda image: image
        kind, sigma, gain = float(torch.rand(())), 0.0, 0.0
        if kind < 0.65:
            sigma = uniform(0, self.blur)
        elif kind < 0.85:
            gain, sigma = uniform(0, self.sharpening), uniform(1, 2)
        noise = uniform(0, self.camera_noise) * torch.randn(size, device=device)

        def take(image: Tensor) -> Tensor:
            blurred = image if sigma < 0.1 else gaussian_blur(image, sigma)
            taken = blurred if kind < 0.65 else image + gain * (image - blurred)
            before, after = (x.std(dim=(1, 2), keepdim=True) for x in (image, taken))
            return taken * (before / after.clamp_min(1e-3)) + noise

        return take

    def _draw_light(self, size: tuple[int, ...], device: torch.device) -> Light:
        channels, spread = size[0], self.channel_contrast
        contrast = uniform(-self.contrast, self.contrast)
        contrasts = contrast + torch.empty(channels).uniform_(-spread, spread)
        mixture = torch.eye(channels) + self.channel_mixing * torch.randn(channels, channels)
        brightness = mixture @ (self.brightness * torch.randn(channels))
        noise = uniform(0, self.noise) * torch.randn(size, device=device)
        return mixture * contrasts.exp(), brightness, noise

    def _grid(self, masks: Sequence[Tensor], views: Sequence[View]) -> Tensor:
        """Where the pixels of each result lie in its picture, for ``grid_sample``."""
        device = masks[0].device
        rows, columns = (self.crop or side for side in masks[0].shape[-2:])
        ranks, numbers = zip(*views, strict=True)
        each = torch.tensor(numbers, dtype=torch.float32).to(device)[..., None, None]
        cos, sin, zoom, stretch, mirror, exact, heights, widths = each.unbind(1)
        centers = torch.stack([_center(*pair) for pair in zip(masks, ranks, strict=True)])
        center_y, center_x = centers[..., None, None].unbind(1)
        y = (torch.arange(rows, device=device) - (rows - 1) / 2)[:, None] / zoom / stretch
        x = (torch.arange(columns, device=device) - (columns - 1) / 2) / zoom * stretch * mirror
        across = cos * x - sin * y + center_x
        down = sin * x + cos * y + center_y
        # An even crop around a pixel, or a turned oblong one, lies half a pixel off.
        across = torch.where(exact > 0, (across + 0.25).floor(), across)
        down = torch.where(exact > 0, (down + 0.25).floor(), down)
        return torch.stack([(2 * across + 1) / widths - 1, (2 * down + 1) / heights - 1], dim=-1)


def _center(mask: Tensor, rank: int) -> Tensor:
    """Row and column of the pixel of this rank, or of the middle, float ``(2,)``."""
    height, width = mask.shape[-2:]
    if not rank:
        return torch.tensor([(height - 1) / 2, (width - 1) / 2]).to(mask.device)
    counted = mask[-1].as_subclass(Tensor).flatten().cumsum(0)
    place = torch.searchsorted(counted, torch.full_like(counted[:1], rank))
    return torch.cat([place // width, place % width]).float()


def _sample(image: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(image.as_subclass(Tensor).float()[None], grid, align_corners=False)
