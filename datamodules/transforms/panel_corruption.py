"""What a camera, a lens, a conveyor and a file format do to the photograph of a panel."""

from collections.abc import Callable
from typing import Any

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt
from torch import Tensor

from common.ranges import HalfOpenUnitInterval, NonNegativeFinite
from datamodules.transforms import corruptions
from datamodules.transforms.augmentation import Augmentation


class PanelCorruption(Augmentation):
    """Damages some training images, so that a network does not lean on what damage removes.

    Of an image uint8 ``(1, H, W)``, each kind with a random strength up to the one given, in the
    manner of Hendrycks and Dietterich 2019 (arXiv 1903.12261). Lengths are parts of the shorter
    side: an image that is resized afterwards is damaged alike. Each kind is a function of
    `corruptions`, whose docstring says what its strength means; 0 leaves it out.

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
        super().__init__()
        self.probability, self.max_corruptions = probability, max_corruptions
        kinds: list[tuple[Callable[[Tensor, float], Tensor], float]] = [
            (corruptions.noise, noise),
            (corruptions.impulses, impulses),
            (corruptions.stripes, stripes),
            (corruptions.texture, texture),
            (corruptions.exposure, exposure),
            (corruptions.equalization, equalization),
            (corruptions.light, light),
            (corruptions.haze, haze),
            (corruptions.blur, blur),
            (corruptions.motion, motion),
            (corruptions.wobble, wobble),
            (corruptions.sharpening, sharpening),
            (corruptions.quantization, quantization),
            (corruptions.low_resolution, low_resolution),
            (corruptions.compression, compression),
            (corruptions.occlusion, occlusion),
            (corruptions.hairs, hairs),
        ]
        self.kinds = [(kind, strength) for kind, strength in kinds if strength > 0]

    def forward(self, *inputs: Any) -> Any:
        image = inputs[0]
        if not self.kinds or torch.rand(()) >= self.probability:
            return image
        count = int(torch.randint(1, self.max_corruptions + 1, ()))
        damaged = image.float()
        for index in torch.randperm(len(self.kinds))[:count].tolist():
            kind, strength = self.kinds[index]
            damaged = kind(damaged, strength).clamp(0, corruptions.WHITE)
        return damaged.round().to(image.dtype)
