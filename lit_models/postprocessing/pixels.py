"""Values of networks as the pixels of files."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor


def to_unit(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1] in float32, clamped, as an 8-bit file could hold it but not rounded."""
    return ((images.float() + 1) / 2).clamp(0, 1)


def native_images(copies: Tensor, native_size: Sequence[int]) -> Tensor:
    """Copies ``(N, C, h, w)`` in [-1, 1] as images in [0, 1] of the files' size."""
    unit, size = to_unit(copies), list(native_size)
    if list(unit.shape[-2:]) == size:
        return unit
    return F.interpolate(unit, size, mode="bicubic", antialias=True).clamp(0, 1)


def to_uint8_image(images: Tensor) -> Tensor:
    """[0, 1] ``(..., C, H, W)`` to uint8 ``(..., H, W, C)``, on the CPU."""
    return (images.float() * 255).round().byte().movedim(-3, -1).cpu().contiguous()


def to_gray(blots: Tensor) -> Tensor:
    """Gray levels uint8 of blots in [-1, 1], of the same shape."""
    return ((blots + 1) * 127.5).round().byte()
