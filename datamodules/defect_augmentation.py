"""Random variation of training images whose class depends on direction."""

from dataclasses import dataclass

from torchvision.transforms import v2


@dataclass
class Augmentation:
    """How training images vary. No quarter turns: they make a horizontal defect a vertical one.

    Args:
        mirror: flip left-right and top-bottom, each with probability 1/2.
        rotation: greatest angle in degrees, either way.
        shift: greatest shift as a part of the side, either way, along each axis.
        zoom: greatest change of the magnification, either way.
        light: greatest change of brightness and of contrast, either way.
    """

    mirror: bool = True
    rotation: float = 5
    shift: float = 0.05
    zoom: float = 0.05
    light: float = 0.2

    def build(self, size: int) -> v2.Transform:
        """The transform of one image, uint8 ``(1, size, size)`` to the same."""
        # What comes in over the border is the image's own mirror image: a flat colour would look
        # like a defect. A quarter of the side is enough for the extremes of all three together.
        margin = size // 4
        return v2.Compose(
            [
                v2.RandomHorizontalFlip(0.5 * self.mirror),
                v2.RandomVerticalFlip(0.5 * self.mirror),
                v2.Pad(margin, padding_mode="reflect"),
                v2.RandomAffine(
                    self.rotation,
                    # Of the padded side.
                    translate=(self.shift * size / (size + 2 * margin),) * 2,
                    scale=(1 - self.zoom, 1 + self.zoom),
                    interpolation=v2.InterpolationMode.BILINEAR,
                ),
                v2.CenterCrop(size),
                v2.ColorJitter(brightness=self.light, contrast=self.light),
            ]
        )
