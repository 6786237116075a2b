"""What all augmentations have in common, and the simple ones."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jsonargparse.typing import ClosedUnitInterval
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from common.ranges import HalfOpenUnitInterval, ImageSide, NonNegativeFinite


def uniform(low: float, high: float) -> float:
    """A number from torch's global generator."""
    return float(torch.empty(()).uniform_(low, high))


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """``(C, H, W)`` blurred by a standard deviation in px; the kernel ends at 3 of these."""
    radius = min(math.ceil(3 * sigma), *(side - 1 for side in image.shape[-2:]))
    return v2.functional.gaussian_blur(image, [2 * radius + 1] * 2, [sigma] * 2)


class Augmentation(v2.Transform):
    """Random variation of one training image together with its masks, by torchvision's protocol.

    The type of every ``augmentation`` in a config. It is narrower than torchvision's `v2.Transform`
    on purpose: `v2.Lambda` and `v2.Compose` call whatever a config, or a stranger's checkpoint,
    names. Subclasses set ``steps``, or override ``forward`` or ``batch``; they draw from torch's
    global generator, so that a seeded epoch repeats.
    """

    steps: v2.Transform

    def forward(self, *inputs: Any) -> Any:
        return self.steps(*inputs)

    def batch(
        self, images: Sequence[Tensor], masks: Sequence[Tensor], fov_pixels: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Several images with their masks, each by its own draw; see `FundusAugmentation.batch`."""
        pairs = zip(map(tv_tensors.Image, images), map(tv_tensors.Mask, masks), strict=True)
        varied = zip(*(self(*pair) for pair in pairs), strict=True)
        stacked = (torch.stack([one.as_subclass(Tensor) for one in many]) for many in varied)
        return next(stacked), next(stacked)


class RandomCropFlip(Augmentation):
    """A random square of the image, mirrored at random.

    Args:
        crop: side of the square in px, images smaller than that are padded; null keeps all.
        flip: mirror left-right and top-bottom, each with probability 1/2.
    """

    def __init__(self, crop: ImageSide | None = None, flip: bool = True) -> None:
        super().__init__()
        steps: list[v2.Transform] = [v2.Identity()]
        if crop is not None:
            steps.append(v2.RandomCrop(crop, pad_if_needed=True))
        if flip:
            steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
        self.steps = v2.Compose(steps)


class DefectAugmentation(Augmentation):
    """Small changes of place, size and brightness of a square image, uint8 ``(1, side, side)``.

    No quarter turns: they make a horizontal defect a vertical one.

    Args:
        flip: mirror left-right and top-bottom, each with probability 1/2.
        rotation: greatest angle in degrees, either way.
        translate: greatest shift as a part of the side, either way, along each axis.
        zoom: greatest change of the magnification, either way.
        color_jitter: greatest change of brightness and of contrast, either way.
        corruption: what follows, such as `PanelCorruption`; null: nothing.
    """

    def __init__(
        self,
        flip: bool = True,
        rotation: NonNegativeFinite = 5,
        translate: ClosedUnitInterval = 0.05,
        zoom: HalfOpenUnitInterval = 0.05,
        color_jitter: ClosedUnitInterval = 0.2,
        corruption: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.flip, self.rotation, self.translate = flip, rotation, translate
        self.zoom, self.color_jitter, self.corruption = zoom, color_jitter, corruption

    def forward(self, *inputs: Any) -> Any:
        # What comes in over the border is the image's own mirror image: a flat color would look
        # like a defect. A quarter of the side is enough for the extremes of all three together.
        margin = (side := inputs[0].shape[-1]) // 4
        steps = v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5 * self.flip),
                v2.RandomVerticalFlip(0.5 * self.flip),
                v2.Pad(margin, padding_mode="reflect"),
                v2.RandomAffine(
                    self.rotation,
                    # Of the padded side.
                    translate=(self.translate * side / (side + 2 * margin),) * 2,
                    scale=(1 - self.zoom, 1 + self.zoom),
                    interpolation=v2.InterpolationMode.BILINEAR,
                ),
                v2.CenterCrop(side),
                v2.ColorJitter(brightness=self.color_jitter, contrast=self.color_jitter),
            ]
        )
        varied = steps(*inputs)
        return varied if self.corruption is None else self.corruption(varied)
