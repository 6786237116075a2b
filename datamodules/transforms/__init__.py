"""Augmentations of training images, which a config names by their class."""

from datamodules.transforms.augmentation import Augmentation, DefectAugmentation, RandomCropFlip
from datamodules.transforms.fundus_augmentation import FundusAugmentation
from datamodules.transforms.panel_corruption import PanelCorruption

__all__ = [
    "Augmentation",
    "DefectAugmentation",
    "FundusAugmentation",
    "PanelCorruption",
    "RandomCropFlip",
]
