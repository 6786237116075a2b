"""From the pixels of an image to a network's input, the same in training and in use.

Without Lightning, so that `inference` starts fast. Fundus photographs for segmentation have
`datamodules.fundus_input`.
"""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

# Of ImageNet, which torchvision's pretrained networks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resize_square(pixels: Tensor, size: int) -> Tensor:
    """``(C, H, W)``, any dtype, as ``(C, size, size)`` of the same one."""
    return F.resize(pixels, [size, size], antialias=True)


def normalize_defects(images: Tensor) -> Tensor:
    """Gray uint8 ``(N, 1, H, W)`` as float32 ``(N, 3, H, W)``, normalized as ImageNet is."""
    scaled = F.to_dtype(images, torch.float32, scale=True)
    return F.normalize(F.grayscale_to_rgb(scaled), list(MEAN), list(STD))


def photograph_input(pixels: Tensor, size: int | None) -> Tensor:
    """Pixels uint8 ``(3, H, W)`` as float32 in [-1, 1].

    Args:
        pixels: of a photograph.
        size: squash to size x size px; None keeps the size.
    """
    if size is not None:
        pixels = resize_square(pixels, size)
    return F.to_dtype(pixels, torch.float32, scale=True) * 2 - 1


def blot_input(pixels: Tensor, size: int | None) -> Tensor:
    """Templates, with or without a blot, uint8 ``(C, H, W)``, as float32 in [-1, 1].

    Args:
        pixels: of one size.
        size: squash to size x size px; None keeps the size.
    """
    if size is not None:
        pixels = resize_square(pixels, size)
    return pixels / 127.5 - 1
