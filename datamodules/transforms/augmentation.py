"""What all augmentations have in common, and the simplest one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from common.ranges import ImageSide


def uniform(low: float, high: float) -> float:
    """A number from torch's global generator."""
    return float(torch.empty(()).uniform_(low, high))


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
        self.crop = crop
        steps: list[v2.Transform] = []
        if crop is not None:
            steps.append(v2.RandomCrop(crop, pad_if_needed=True))
        if flip:
            steps += [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
        self.steps = v2.Compose(steps or [v2.Identity()])
