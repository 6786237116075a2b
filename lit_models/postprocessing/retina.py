"""Copies of photographs at the files' sizes."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from lit_models.networks.restored_avif import RestoredAVIF
from lit_models.postprocessing.pixels import to_unit


def reconstruct(network: nn.Module, image: Tensor, name: str = "") -> tuple[Tensor, bytes | None]:
    """The copy of one image, and the file that it was made from.

    Args:
        network: as `ImageReconstructor` has it.
        image: ``(1, C, H, W)`` in [-1, 1].
        name: of its file; a `RestoredAVIF` restores an AVIF file as it is.

    Returns:
        ``(1, C, H, W)`` float32, not clamped; the file that a `RestoredAVIF` made, else None.
    """
    if isinstance(network, RestoredAVIF):
        if name.lower().endswith(".avif"):
            return network.restore(image).float(), None
        copy, (file,) = network.reconstruct(image)
        return copy.float(), file
    return network(image).float(), None


def native_image(copy: Tensor, native_size: Sequence[int]) -> Tensor:
    """A copy ``(1, C, h, w)`` as an image ``(C, H, W)`` in [0, 1] of the file's size."""
    unit = to_unit(copy)
    if list(unit.shape[-2:]) != list(native_size):
        size = list(native_size)
        unit = F.interpolate(unit, size, mode="bicubic", antialias=True).clamp(0, 1)
    return unit[0]
