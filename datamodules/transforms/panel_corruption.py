"""What a camera, a lens, a conveyor and a file format do to the photograph of a panel."""

from typing import Any

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeInt, PositiveInt

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
        arguments = locals()
        super().__init__()
        self.probability, self.max_corruptions = probability, max_corruptions
        self.kinds = [
            (getattr(corruptions, name), strength)
            for name, strength in arguments.items()
            if name in vars(corruptions) and strength > 0
        ]

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
