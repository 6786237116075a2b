"""What a camera, a lens, a conveyor and a file format do to the photograph of a panel."""

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from datamodules.ranges import HalfOpenUnitInterval, NonNegativeFinite, refuse_null
from datamodules.transforms.augmentation import Augmentation, uniform

WHITE = 255.0
GRAIN = 1 / 50  # of the shorter side, the greatest


class PanelCorruption(Augmentation):
    """Damages some training images, so that a network does not lean on what damage removes.

    Of an image uint8 ``(1, H, W)``, each kind with a random strength up to the one given, in the
    manner of Hendrycks and Dietterich 2019 (arXiv 1903.12261). Lengths are parts of the shorter
    side: an image that is resized afterwards is damaged alike. 0 leaves a kind out.

    Args:
        probability: that an image is damaged at all.
        most: greatest number of kinds in one image.
        noise: standard deviation in gray levels, of the sensor or of its photons; in grains of
            a pixel up to 1/50 of the side.
        impulses: part of the pixels that are black or white.
        stripes: standard deviation in gray levels of an offset of each row, or column, or of
            wider ones; of either sign, or all lighter or all darker.
        exposure: contrast, brightness and gamma; at 1 by factors up to 2 and by 64 gray levels.
        light: gray levels between the lightest and darkest place, of a gradient, of dark corners
            or of a smooth random field.
        haze: part of the contrast that a smooth veil of any gray hides.
        blur: standard deviation of a Gaussian; a lens out of focus has twice that radius.
        motion: length of the path.
        sharpening: times that the difference from a blurred image is added.
        quantization: gray levels from one to the next that is left.
        low_resolution: the side is reduced by up to 1 / (1 - low_resolution).
        compression: JPEG quality falls by up to 100 times this.
        occlusion: side of a gray, black or white patch.
        hairs: greatest number of curved lines, up to 1/100 wide.
    """

    def __init__(
        self,
        probability: ClosedUnitInterval = 0.8,
        most: PositiveInt = 3,
        noise: NonNegativeFinite = 40.0,
        impulses: ClosedUnitInterval = 0.05,
        stripes: NonNegativeFinite = 20.0,
        exposure: NonNegativeFinite = 1.0,
        light: NonNegativeFinite = 160.0,
        haze: ClosedUnitInterval = 0.6,
        blur: ClosedUnitInterval = 0.0125,
        motion: ClosedUnitInterval = 0.06,
        sharpening: NonNegativeFinite = 4.0,
        quantization: NonNegativeFinite = 48.0,
        low_resolution: HalfOpenUnitInterval = 0.75,
        compression: HalfOpenUnitInterval = 0.95,
        occlusion: ClosedUnitInterval = 0.2,
        hairs: NonNegativeInt = 4,
    ) -> None:
        super().__init__()
        refuse_null(PanelCorruption, locals(), "augmentation")
        self.probability, self.most = probability, most
        kinds: list[tuple[Callable[[Tensor, float], Tensor], float]] = [
            (_noise, noise),
            (_impulses, impulses),
            (_stripes, stripes),
            (_exposure, exposure),
            (_light, light),
            (_haze, haze),
            (_blur, blur),
            (_motion, motion),
            (_sharpening, sharpening),
            (_quantization, quantization),
            (_low_resolution, low_resolution),
            (_compression, compression),
            (_occlusion, occlusion),
            (_hairs, hairs),
        ]
        self.kinds = [(kind, strength) for kind, strength in kinds if strength > 0]

    def forward(self, *inputs: Any) -> Any:
        image = inputs[0]
        if not self.kinds or torch.rand(()) >= self.probability:
            return image
        count = int(torch.randint(1, self.most + 1, ()))
        damaged = image.float()
        for index in torch.randperm(len(self.kinds))[:count].tolist():
            kind, strength = self.kinds[index]
            damaged = kind(damaged, strength).clamp(0, WHITE)
        return damaged.round().to(image.dtype)


def _chance() -> bool:
    return bool(torch.rand(()) < 0.5)


def _grains(height: int, width: int, image: Tensor) -> Tensor:
    """Normal numbers ``(1, height, width)``, each of a pixel, or of grains of the image's scale."""
    size = 1.0 if _chance() else uniform(1, max(1, GRAIN * min(image.shape[-2:])))
    if size <= 1:
        return torch.randn(1, height, width, device=image.device)
    coarse = [max(2, math.ceil(side / size)) if side > 1 else 1 for side in (height, width)]
    fine = transforms.resize(
        torch.randn(1, *coarse, device=image.device), [height, width], v2.InterpolationMode.BICUBIC
    )
    return fine / fine.square().mean().sqrt()


def _noise(image: Tensor, strength: float) -> Tensor:
    noise = uniform(0, strength) * _grains(*image.shape[-2:], image)
    if _chance():  # of photons: as strong at mid-gray, weaker where it is dark
        return image + (image / (WHITE / 2)).sqrt() * noise
    return image + noise


def _impulses(image: Tensor, strength: float) -> Tensor:
    struck = torch.rand_like(image)
    share = uniform(0, strength)
    return image.masked_fill(struck < share / 2, 0).masked_fill(struck > 1 - share / 2, WHITE)


def _stripes(image: Tensor, strength: float) -> Tensor:
    height, width = image.shape[-2:]
    offsets = _grains(height, 1, image) if _chance() else _grains(1, width, image)
    if _chance():
        offsets = offsets.abs() * (1 if _chance() else -1)
    return image + uniform(0, strength) * offsets


def _exposure(image: Tensor, strength: float) -> Tensor:
    contrast = 2 ** uniform(-strength, strength)
    gamma = 2 ** uniform(-strength, strength)
    offset = 64 * uniform(-strength, strength)
    middle = image.mean()
    if _chance():
        return (image / WHITE) ** gamma * WHITE
    return (image - middle) * contrast + middle + offset


def _field(image: Tensor) -> Tensor:
    """``(H, W)``: a gradient, dark corners or a smooth random field, about -0.5 to 0.5."""
    height, width = image.shape[-2:]
    kind = int(torch.randint(3, ()))
    y = torch.linspace(-0.5, 0.5, height, device=image.device)[:, None]
    x = torch.linspace(-0.5, 0.5, width, device=image.device)[None]
    if kind == 0:
        angle = uniform(0, 2 * math.pi)
        return (math.cos(angle) * x + math.sin(angle) * y) / 2**0.5
    if kind == 1:
        return 0.25 - x**2 - y**2
    coarse = torch.rand(1, 1, 4, 4, device=image.device) - 0.5
    return F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)[0, 0]


def _light(image: Tensor, strength: float) -> Tensor:
    return image + uniform(0, strength) * _field(image)


def _haze(image: Tensor, strength: float) -> Tensor:
    veil = uniform(0, strength) * (_field(image) + 0.5).clamp(0, 1)
    return image * (1 - veil) + uniform(0, WHITE) * veil


def _blur(image: Tensor, strength: float) -> Tensor:
    side = min(image.shape[-2:])
    deviation = side * uniform(0, strength)
    if deviation < 0.2:
        return image
    radius = math.ceil(2 * deviation) if _chance() else 0
    if not radius:
        return _smooth(image, deviation)
    steps = torch.arange(-radius, radius + 1, device=image.device)
    disk = (steps[:, None] ** 2 + steps[None] ** 2 <= (2 * deviation) ** 2).float()
    return _filtered(image, disk)


def _smooth(image: Tensor, deviation: float) -> Tensor:
    most = min(image.shape[-2:]) - 1  # it mirrors the border
    size = 2 * min(math.ceil(3 * deviation), most) + 1
    return transforms.gaussian_blur(image, [size, size], [deviation, deviation])


def _motion(image: Tensor, strength: float) -> Tensor:
    length = min(image.shape[-2:]) * uniform(0, strength)
    radius = math.ceil(length / 2)
    if not radius:
        return image
    angle = uniform(0, math.pi)
    steps = torch.linspace(-length / 2, length / 2, 4 * radius + 1, device=image.device)
    rows = (math.sin(angle) * steps + radius).round().long()
    columns = (math.cos(angle) * steps + radius).round().long()
    path = torch.zeros(2 * radius + 1, 2 * radius + 1, device=image.device)
    path[rows, columns] = 1
    return _filtered(image, path)


def _filtered(image: Tensor, kernel: Tensor) -> Tensor:
    radius = len(kernel) // 2
    padded = F.pad(image[None], [radius] * 4, mode="replicate")
    return F.conv2d(padded, (kernel / kernel.sum())[None, None])[0]


def _sharpening(image: Tensor, strength: float) -> Tensor:
    deviation = max(0.5, uniform(0, GRAIN) * min(image.shape[-2:]))
    return image + uniform(0, strength) * (image - _smooth(image, deviation))


def _quantization(image: Tensor, strength: float) -> Tensor:
    step = max(1.0, uniform(0, strength))
    return (image / step).floor() * step + step / 2


def _low_resolution(image: Tensor, strength: float) -> Tensor:
    height, width = image.shape[-2:]
    scale = 1 - uniform(0, strength)
    small = [max(2, round(height * scale)), max(2, round(width * scale))]
    reduced = transforms.resize(image, small, antialias=_chance())
    nearest = v2.InterpolationMode.NEAREST
    back = nearest if _chance() else v2.InterpolationMode.BILINEAR
    return transforms.resize(reduced, [height, width], back)


def _compression(image: Tensor, strength: float) -> Tensor:
    quality = max(1, round(100 * (1 - uniform(0, strength))))
    buffer = io.BytesIO()
    pixels = image[0].round().to(torch.uint8).cpu().numpy()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(buffer))).to(image)[None]


def _occlusion(image: Tensor, strength: float) -> Tensor:
    height, width = image.shape[-2:]
    rows = max(1, round(height * uniform(0, strength)))
    columns = max(1, round(width * uniform(0, strength)))
    top, left = (int(torch.randint(0, free + 1, ())) for free in (height - rows, width - columns))
    covered = image.clone()
    covered[..., top : top + rows, left : left + columns] = uniform(0, WHITE)
    return covered


def _hairs(image: Tensor, strength: float) -> Tensor:
    height, width = image.shape[-2:]
    mask = Image.new("L", (width, height))
    thickest = max(1, round(min(height, width) / 100))
    for _ in range(int(torch.randint(1, int(strength) + 1, ()))):
        start, bend, end = torch.rand(3, 2) * torch.tensor([width, height])
        steps = torch.linspace(0, 1, 33)[:, None]  # along a quadratic Bezier curve
        path = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * end
        thickness = int(torch.randint(1, thickest + 1, ()))
        ImageDraw.Draw(mask).line(path.flatten().tolist(), fill=255, width=thickness)
    covered = torch.from_numpy(np.array(mask)).to(image) / 255 * uniform(0.3, 1)
    return image * (1 - covered) + uniform(0, WHITE) * covered
