"""Reading drawn vessels and fields of view of fundus photographs."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torchvision import tv_tensors

from common.errors import DataError
from datamodules.fundus_files import FundusFiles
from datamodules.images import read_image, say

MOST_LABELS = 8  # gray levels in a mask that are meant as such


def read_mask(path: Path, image: Path, size: Sequence[int], full: bool = False) -> tv_tensors.Mask:
    """A drawn mask as bool ``(1, H, W)``; any two gray levels, smoothed edges and colors allowed.

    The level of a pixel is its greatest channel: arteries in red and veins in blue are vessels.

    Args:
        path: the mask.
        image: the photograph it belongs to, for the message.
        size: ``(H, W)`` of that photograph.
        full: allow a mask that is set everywhere, as a field of view may be.

    Raises:
        DataError: unreadable, of another size, empty, or not a mask (more than a fifth of what is
            drawn is neither bright nor beside it, or of the image in between); names both files.
    """
    color = read_image(path, "RGB").as_subclass(Tensor)
    gray = color.amax(0, keepdim=True)
    if gray.shape[-2:] != torch.Size(size):
        (mh, mw), (h, w) = gray.shape[-2:], size
        raise DataError(f"{path}: mask of {mw}x{mh} px for {image} of {w}x{h} px; redraw or resize")
    low, high = int(gray.min()), int(gray.max())
    if full and low == high:
        low = 0
    if low == high:
        raise DataError(f"{path}: empty mask ({low} everywhere) for {image}; remove both or redraw")
    level = (gray.float() - low) / (high - low)
    # Of few values each is a label; else the darkest may be traces of a lossy compression.
    labels = len(gray.unique()) if len(gray.unique()) <= MOST_LABELS else 0
    drawn = level > (0 if labels else 0.2)
    near_bright = max_pool2d((level > 0.8).float(), 5, stride=1, padding=2) > 0
    between = float(((level > 0.2) & (level < 0.8)).float().mean())  # much of it in a photograph
    other = max(between, float((drawn & ~near_bright).sum() / drawn.sum()))
    if other > 0.2 or low > high / 2:
        raise DataError(
            f"{path}: not a binary mask (gray {low} to {high}, {other:.0%} in between) "
            f"for {image}; save it in black and white"
        )
    if labels > 2 or (gray - color.amin(0)).max() > 64:
        say(f"{path.parent}: masks in color or several grays; what is not dark counts as drawn")
    return tv_tensors.Mask(level > 0.5)


def read_masks(
    files: FundusFiles, size: Sequence[int]
) -> tuple[tv_tensors.Mask | None, tv_tensors.Mask | None]:
    """The drawn vessels and field of view of one photograph, where there are files of them.

    Args:
        files: of the photograph.
        size: its ``(H, W)``.

    Raises:
        DataError: as `read_mask`; more than half of the field of view is vessel, or most vessels
            lie outside of it: a mask is inverted, or the two are swapped.
    """
    vessels = read_mask(files.vessels, files.image, size) if files.vessels else None
    fov = read_mask(files.fov, files.image, size, full=True) if files.fov else None
    if vessels is not None:
        inside = vessels if fov is None else vessels[fov]
        share, lost = float(inside.float().mean()), 1 - float(inside.sum() / vessels.sum())
        if max(share, lost) > 0.5:
            raise DataError(
                f"{files.vessels}: {share:.0%} of the field of view of {files.image} is vessel, "
                f"and {lost:.0%} of the vessels lie outside; invert a mask, or swap the two"
            )
    return vessels, fov
