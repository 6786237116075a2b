"""From the pixels of an image to a network's input, the same in training and in use.

Without Lightning, so that `inference` starts fast. Fundus photographs for segmentation have
`datamodules.fundus_input`.
"""

from typing import Literal

import torch
import torch.nn.functional
from torch import Tensor
from torchvision.transforms.v2 import functional as F

# Of ImageNet, which torchvision's pretrained networks expect.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Resize = Literal["squash", "pad", "crop"]


def square_margins(height: int, width: int, resize: Resize) -> list[int]:
    """Pixels to add at the left, right, top and bottom of an image; negative ones are cut off."""
    if resize == "squash":
        return [0, 0, 0, 0]
    side = max(height, width) if resize == "pad" else min(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return [left, side - width - left, top, side - height - top]


def resize_square(pixels: Tensor, size: int | None, resize: Resize = "squash") -> Tensor:
    """``(..., H, W)``, any dtype, as ``(..., size, size)`` of the same one; as it is for None.

    "squash" changes the sides' ratio, "pad" adds black to a square first, "crop" cuts the middle.
    """
    if size is None:
        return pixels
    if resize != "squash":
        margins = square_margins(pixels.shape[-2], pixels.shape[-1], resize)
        pixels = torch.nn.functional.pad(pixels, margins)
    return F.resize(pixels, [size, size], antialias=True)


def has_color(pixels: Tensor) -> bool:
    """Whether the channels of uint8 ``(3, H, W)`` differ in more than 1 % of the pixels.

    By 16 levels: a gray photograph's JPEG differs by a few.
    """
    values = pixels.short()
    return bool((values.amax(dim=0) - values.amin(dim=0) > 16).float().mean() > 0.01)


def normalize_defects(images: Tensor) -> Tensor:
    """Uint8 ``(N, 1 or 3, H, W)`` as float32 ``(N, 3, H, W)``, normalized as ImageNet is."""
    scaled = F.to_dtype(images, torch.float32, scale=True)
    return F.normalize(F.grayscale_to_rgb(scaled), list(MEAN), list(STD))


def photograph_input(pixels: Tensor, size: int | None) -> Tensor:
    """A photograph, uint8 ``(3, H, W)``, resized by `resize_square`, as float32 in [-1, 1]."""
    return F.to_dtype(resize_square(pixels, size), torch.float32, scale=True) * 2 - 1


def blot_input(pixels: Tensor, size: int | None) -> Tensor:
    """Templates, with or without a blot, uint8 ``(C, H, W)``, likewise."""
    return resize_square(pixels, size) / 127.5 - 1
