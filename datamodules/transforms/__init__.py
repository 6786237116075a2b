"""Augmentation of training images, and preprocessing of fundus photographs.

An augmentation is named in a config by its class, for example

    augmentation: {class_path: datamodules.transforms.DefectAugmentation, init_args: {rotation: 10}}
"""

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
