"""Random variation of a fundus photograph together with its masks."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from common.errors import DataError
from common.ranges import ImageSide, NonNegativeFinite, PositiveFinite, refuse_null
from datamodules.transforms.augmentation import Augmentation, uniform


class FundusAugmentation(Augmentation):
    """Another crop, turn, size and light of one picture (``tv_tensors.Image``) and its masks.

    Intensities vary in units of the normalized image, whose standard deviation is 1. Each default
    is of the recipe in configs/vessels_best.yaml.

    Args:
        crop: side in px of what is cut out around a random point of the field of view; null keeps
            the whole picture.
        no_resample_prob: probability that a picture is not resampled, but flipped, rotated by
            multiples of 90 degrees and cropped only. Resampling blurs the rims of vessels,
            where most errors lie, and photographs at inference are sharp.
        zoom: least and greatest magnification of the others, drawn evenly in its logarithm.
        aspect: their width and height differ by up to ``exp(2 aspect)``.
        contrast: all channels are multiplied by up to ``exp(contrast)``, or divided by it.
        channel_contrast: likewise, each channel on its own.
        brightness: standard deviation of what is added to each channel.
        channel_mixing: standard deviation of what each channel takes from each.
        noise: the greatest standard deviation of noise.
        other_camera_prob: probability that a picture looks like another camera's, see
            `RandomCamera`. Without, a network draws vessels too wide in soft photographs, and too
            few in noisy ones.
        blur: of these, the greatest standard deviation of a Gaussian blur, in px.
        sharpening: of these, the greatest gain of unsharp masking.
        camera_noise: of these, the greatest standard deviation of noise.
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
        other_camera_prob: ClosedUnitInterval = 0.5,
        blur: NonNegativeFinite = 1.6,
        sharpening: NonNegativeFinite = 2.0,
        camera_noise: NonNegativeFinite = 0.35,
    ) -> None:
        super().__init__()
        refuse_null(FundusAugmentation, locals(), "augmentation")
        self.crop = crop
        self.steps = v2.Compose(
            [
                RandomView(crop, no_resample_prob, zoom, aspect),
                RandomCamera(other_camera_prob, blur, sharpening, camera_noise),
                RandomIntensity(contrast, channel_contrast, brightness, channel_mixing, noise),
            ]
        )


class RandomView(v2.Transform):
    """Turned by any angle, mirrored, magnified, stretched and cut, in a single resampling.

    Some pictures are not resampled: each of their pixels is one of the photograph. The last mask
    channel is the field of view, where crops are centered. Resampled masks have values between 0
    and 1 at their edges, which is what part of such a pixel is vessel.

    Args:
        crop, no_resample_prob, zoom, aspect: see `FundusAugmentation`.

    Raises:
        DataError: the least zoom is above the greatest.
    """

    def __init__(
        self, crop: int | None, no_resample_prob: float, zoom: tuple[float, float], aspect: float
    ) -> None:
        super().__init__()
        if zoom[0] > zoom[1]:
            raise DataError(f"data.augmentation.zoom: {list(zoom)}; give the smaller number first")
        self.crop, self.no_resample_prob, self.zoom, self.aspect = (
            crop,
            no_resample_prob,
            zoom,
            aspect,
        )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        masks = next(item for item in flat_inputs if isinstance(item, tv_tensors.Mask))
        height, width = masks.shape[-2:]
        rows, columns = self.crop or height, self.crop or width
        center = [(height - 1) / 2, (width - 1) / 2]
        if self.crop is not None:
            inside = masks[-1].flatten().nonzero()
            point = int(inside[torch.randint(len(inside), ())]) if len(inside) else 0
            center = [point // width, point % width] if len(inside) else center
        angle = uniform(-math.pi, math.pi)
        zoom = math.exp(uniform(*(math.log(limit) for limit in self.zoom)))
        stretch = math.exp(uniform(-self.aspect, self.aspect))
        mirror = 1 if torch.rand(()) < 0.5 else -1
        no_resample = bool(torch.rand(()) < self.no_resample_prob)
        if no_resample:
            angle, zoom, stretch = round(angle / (math.pi / 2)) * math.pi / 2, 1.0, 1.0
        y = (torch.arange(rows, device=masks.device) - (rows - 1) / 2) / zoom / stretch
        x = (torch.arange(columns, device=masks.device) - (columns - 1) / 2) / zoom * stretch
        y, x = torch.meshgrid(y, x * mirror, indexing="ij")
        across = math.cos(angle) * x - math.sin(angle) * y + center[1]
        down = math.sin(angle) * x + math.cos(angle) * y + center[0]
        if (
            no_resample
        ):  # an even crop around a pixel, or a turned oblong one, lies half a pixel off
            across, down = (across + 0.25).floor(), (down + 0.25).floor()
        grid = [(2 * across + 1) / width - 1, (2 * down + 1) / height - 1]
        return {"grid": torch.stack(grid, dim=-1)[None]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        seen = F.grid_sample(inpt.float()[None], params["grid"], align_corners=False)[0]
        return tv_tensors.wrap(seen, like=inpt)


class RandomCamera(v2.Transform):
    """The picture as another camera takes it: softer, sharpened or noisier; leaves masks alone.

    Thirteen of twenty are blurred, four sharpened, and all are noisy. Each channel keeps its
    standard deviation, since the network's input is standardized after the camera.

    Args:
        probability: of a picture to change at all.
        blur, sharpening, noise: see `FundusAugmentation`.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, probability: float, blur: float, sharpening: float, noise: float) -> None:
        super().__init__()
        self.probability, self.blur = probability, blur
        self.sharpening, self.noise = sharpening, noise

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        if torch.rand(()) >= self.probability:
            return inpt
        image, kind = inpt.as_subclass(Tensor), float(torch.rand(()))
        if kind < 0.65:
            image = _blurred(image, uniform(0, self.blur))
        elif kind < 0.85:
            image = image + uniform(0, self.sharpening) * (image - _blurred(image, uniform(1, 2)))
        before, after = (x.std(dim=(1, 2), keepdim=True) for x in (inpt, image))
        image = image * (before / after.clamp_min(1e-3))
        image = image + uniform(0, self.noise) * torch.randn_like(image)
        return tv_tensors.wrap(image, like=inpt)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    side = 2 * min(math.ceil(3 * sigma), *(n - 1 for n in image.shape[-2:])) + 1
    return image if sigma < 0.1 else v2.functional.gaussian_blur(image, [side, side], [sigma] * 2)


class RandomIntensity(v2.Transform):
    """Other contrast, brightness and mixture of the channels, and noise; leaves masks alone.

    Args:
        contrast, channel_contrast, brightness, channel_mixing, noise: see `FundusAugmentation`.
    """

    _transformed_types = (tv_tensors.Image,)

    def __init__(
        self,
        contrast: float,
        channel_contrast: float,
        brightness: float,
        channel_mixing: float,
        noise: float,
    ) -> None:
        super().__init__()
        self.contrast, self.channel_contrast = contrast, channel_contrast
        self.brightness, self.channel_mixing = brightness, channel_mixing
        self.noise = noise

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        channels = len(inpt)
        contrast = uniform(-self.contrast, self.contrast)
        spread = self.channel_contrast
        contrasts = contrast + torch.empty(channels).uniform_(-spread, spread)
        mixture = torch.eye(channels) + self.channel_mixing * torch.randn(channels, channels)
        brightness = mixture @ (self.brightness * torch.randn(channels))
        image = torch.einsum(
            "ij,jhw->ihw", (mixture * contrasts.exp()).to(inpt), inpt.as_subclass(Tensor)
        )
        image += brightness.to(inpt)[:, None, None]
        image += uniform(0, self.noise) * torch.randn_like(image)
        return image
