"""Random variation of training images whose class depends on direction."""

from typing import Any

from jsonargparse.typing import ClosedUnitInterval
from torchvision.transforms import v2

from common.ranges import HalfOpenUnitInterval, NonNegativeFinite
from datamodules.transforms.augmentation import Augmentation


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
        side = inputs[0].shape[-1]
        # What comes in over the border is the image's own mirror image: a flat color would look
        # like a defect. A quarter of the side is enough for the extremes of all three together.
        margin = side // 4
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
