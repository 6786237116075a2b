"""What a camera, a lens, a conveyor and a file format do to the photograph of a panel.

A kind of damage is a function: it takes an image float ``(1 or 3, H, W)`` in 0 to 255 and its
greatest strength, draws a strength from torch's global generator, and returns the damaged image,
which may leave that range.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as transforms

from common.ranges import HalfOpenUnitInterval, NonNegativeFinite
from datamodules.transforms.augmentation import Augmentation, gaussian_blur, uniform

WHITE = 255.0
GRAIN = 1 / 50  # of the shorter side, the greatest


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


def noise(image: Tensor, strength: float) -> Tensor:
    """Of the sensor, of its photons, or speckle: standard deviation in gray levels at mid-gray."""
    height, width = image.shape[-2:]
    added = uniform(0, strength) * _grains(height, width, image)
    growth = float(torch.randint(3, ())) / 2  # with the light: not, by its square root, as it does
    return image + (image / (WHITE / 2)) ** growth * added


def impulses(image: Tensor, strength: float) -> Tensor:
    """Part of the pixels, or of the rows or columns, that are black or white."""
    height, width = image.shape[-2:]
    shape = [(height, width), (height, 1), (1, width)][int(torch.randint(3, ()))]
    struck = torch.rand(1, *shape, device=image.device)
    share = uniform(0, strength)
    return image.masked_fill(struck < share / 2, 0).masked_fill(struck > 1 - share / 2, WHITE)


def stripes(image: Tensor, strength: float) -> Tensor:
    """Offset of each row or column, or of wider ones: standard deviation in gray levels."""
    height, width = image.shape[-2:]
    offsets = _grains(height, 1, image) if _chance() else _grains(1, width, image)
    if _chance():
        offsets = offsets.abs() * (1 if _chance() else -1)
    return image + uniform(0, strength) * offsets


def texture(image: Tensor, strength: float) -> Tensor:
    """A pattern of one frequency, in one direction or in all: standard deviation in gray levels."""
    height, width = image.shape[-2:]
    y = torch.fft.fftfreq(height, device=image.device)[:, None]  # cycles a pixel
    x = torch.fft.rfftfreq(width, device=image.device)[None]
    frequency, angle, band = uniform(0.03, 0.5), uniform(0, math.pi), uniform(0.005, 0.05)
    if _chance():
        away = (y.square() + x.square()).sqrt() - frequency
    else:
        across, along = frequency * math.sin(angle), frequency * math.cos(angle)
        away = torch.minimum((y - across).hypot(x - along), (y + across).hypot(x + along))
    spectrum = torch.fft.rfft2(torch.randn_like(image)) * torch.exp(-0.5 * (away / band) ** 2)
    pattern = torch.fft.irfft2(spectrum, s=(height, width))
    return image + uniform(0, strength) * pattern / pattern.std(correction=0).clamp_min(1e-3)


def exposure(image: Tensor, strength: float) -> Tensor:
    """Contrast and brightness, or gamma: factors up to 2 ** strength."""
    contrast = 2 ** uniform(-strength, strength)
    gamma = 2 ** uniform(-strength, strength)
    offset = 64 * uniform(-strength, strength)
    middle = image.mean()
    if _chance():
        return (image / WHITE) ** gamma * WHITE
    return (image - middle) * contrast + middle + offset


def equalization(image: Tensor, strength: float) -> Tensor:
    """Part of the way to gray levels that are all equally frequent."""
    equal = transforms.equalize(image.round().to(torch.uint8)).to(image)
    return torch.lerp(image, equal, uniform(0, strength))


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


def light(image: Tensor, strength: float) -> Tensor:
    """Gray levels between the lightest and the darkest place, of a `_field`."""
    return image + uniform(0, strength) * _field(image)


def haze(image: Tensor, strength: float) -> Tensor:
    """Part of the contrast that a veil of any gray hides."""
    veil = uniform(0, strength) * (_field(image) + 0.5).clamp(0, 1)
    return image * (1 - veil) + uniform(0, WHITE) * veil


def blur(image: Tensor, strength: float) -> Tensor:
    """Gaussian, or of a lens out of focus: standard deviation in parts of the side."""
    deviation = min(image.shape[-2:]) * uniform(0, strength)
    if deviation < 0.2:
        return image
    if not _chance():
        return gaussian_blur(image, deviation)
    radius = math.ceil(2 * deviation)
    steps = torch.arange(-radius, radius + 1, device=image.device)
    disk = (steps[:, None] ** 2 + steps[None] ** 2 <= (2 * deviation) ** 2).float()
    return _filtered(image, disk)


def motion(image: Tensor, strength: float) -> Tensor:
    """Length of a straight path, in parts of the side."""
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
    padded = F.pad(image[:, None], [radius] * 4, mode="replicate")
    return F.conv2d(padded, (kernel / kernel.sum())[None, None])[:, 0]


def wobble(image: Tensor, strength: float) -> Tensor:
    """Shift along the rows, or columns, that changes from one to the next; in parts of the side."""
    turned = image.mT if _chance() else image
    height, width = turned.shape[-2:]
    shifts = uniform(0, strength) * min(height, width) * _grains(height, 1, turned)[0]
    smooth = F.avg_pool1d(shifts.mT, 9, 1, 4, count_include_pad=False).mT if _chance() else shifts
    columns = (torch.arange(width, device=image.device) + smooth.round().long()) % width
    moved = turned.gather(-1, columns.expand(turned.shape))
    return moved.mT if turned is not image else moved


def sharpening(image: Tensor, strength: float) -> Tensor:
    """Times that the difference from a blurred image is added."""
    deviation = max(0.5, uniform(0, GRAIN) * min(image.shape[-2:]))
    return image + uniform(0, strength) * (image - gaussian_blur(image, deviation))


def quantization(image: Tensor, strength: float) -> Tensor:
    """Gray levels from one to the next that is left."""
    step = max(1.0, uniform(0, strength))
    return (image / step).floor() * step + step / 2


def low_resolution(image: Tensor, strength: float) -> Tensor:
    """Part by which the side is reduced, and enlarged again."""
    height, width = image.shape[-2:]
    scale = 1 - uniform(0, strength)
    small = [max(2, round(height * scale)), max(2, round(width * scale))]
    reduced = transforms.resize(image, small, antialias=_chance())
    nearest = v2.InterpolationMode.NEAREST
    back = nearest if _chance() else v2.InterpolationMode.BILINEAR
    return transforms.resize(reduced, [height, width], back)


def compression(image: Tensor, strength: float) -> Tensor:
    """By JPEG; the quality falls from 100 by 100 times this."""
    quality = max(1, round(100 * (1 - uniform(0, strength))))
    return transforms.jpeg(image.round().to(torch.uint8).cpu(), quality).to(image)


def occlusion(image: Tensor, strength: float) -> Tensor:
    """Sides of a patch of any gray, in parts of the side."""
    height, width = image.shape[-2:]
    rows = max(1, round(height * uniform(0, strength)))
    columns = max(1, round(width * uniform(0, strength)))
    top, left = (int(torch.randint(0, free + 1, ())) for free in (height - rows, width - columns))
    covered = image.clone()
    covered[..., top : top + rows, left : left + columns] = uniform(0, WHITE)
    return covered


def hairs(image: Tensor, strength: float) -> Tensor:
    """Number of curved lines, up to 1/100 of the side wide."""
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


class PanelCorruption(Augmentation):
    """Damages some training images, so that a network does not lean on what damage removes.

    Of an image uint8 ``(1, H, W)``, each kind with a random strength up to the one given, in the
    manner of Hendrycks and Dietterich 2019 (arXiv 1903.12261). Lengths are parts of the shorter
    side: an image that is resized afterwards is damaged alike. Each kind is a function of
    this module, whose docstring says what its strength means; 0 leaves it out.

    Args:
        probability: that an image is damaged at all.
        max_corruptions: greatest number of kinds in one image.
    """

    def __init__(
        self,
        probability: ClosedUnitInterval = 0.8,
        max_corruptions: PositiveInt = 3,
        noise: NonNegativeFinite = 40.0,
        impulses: ClosedUnitInterval = 0.05,
        stripes: NonNegativeFinite = 20.0,
        texture: NonNegativeFinite = 40.0,
        exposure: NonNegativeFinite = 1.0,
        equalization: ClosedUnitInterval = 1.0,
        light: NonNegativeFinite = 160.0,
        haze: ClosedUnitInterval = 0.6,
        blur: ClosedUnitInterval = 0.0125,
        motion: ClosedUnitInterval = 0.06,
        wobble: ClosedUnitInterval = 0.02,
        sharpening: NonNegativeFinite = 4.0,
        quantization: NonNegativeFinite = 48.0,
        low_resolution: HalfOpenUnitInterval = 0.75,
        compression: HalfOpenUnitInterval = 0.95,
        occlusion: ClosedUnitInterval = 0.2,
        hairs: NonNegativeInt = 4,
    ) -> None:
        arguments = locals()  # each strength has the name of its function
        super().__init__()
        self.probability, self.max_corruptions = probability, max_corruptions
        self.kinds = [
            (globals()[name], strength)
            for name, strength in arguments.items()
            if name in globals() and strength > 0
        ]

    def forward(self, *inputs: Any) -> Any:
        image = inputs[0]
        if not self.kinds or torch.rand(()) >= self.probability:
            return image
        count = int(torch.randint(1, self.max_corruptions + 1, ()))
        damaged = image.float()
        for index in torch.randperm(len(self.kinds))[:count].tolist():
            kind, strength = self.kinds[index]
            damaged = kind(damaged, strength).clamp(0, WHITE)
        return damaged.round().to(image.dtype)
