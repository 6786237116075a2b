"""Copies of photographs at the files' sizes."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from lit_models.postprocessing.pixels import to_unit


def native_image(copy: Tensor, native_size: Sequence[int]) -> Tensor:
    """A copy ``(1, C, h, w)`` as an image ``(C, H, W)`` in [0, 1] of the file's size."""
    unit = to_unit(copy)
    if list(unit.shape[-2:]) != list(native_size):
        size = list(native_size)
        unit = F.interpolate(unit, size, mode="bicubic", antialias=True).clamp(0, 1)
    return unit[0]
