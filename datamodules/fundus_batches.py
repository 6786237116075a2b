"""Batches of fundus photographs of different sizes, for training and for `inference`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch; what has the network's size is padded with zeros below and at the right.

    Returns:
        ``image``, ``fov``, ``target`` stacked ``(N, C, h, w)`` with h, w multiples of 32;
        ``input_size``, ``native_size`` ``(N, 2)``, ``index`` ``(N,)``; the rest as lists.
    """
    sizes = torch.tensor([item["image"].shape[-2:] for item in items])
    height, width = (-(-int(side) // 32) * 32 for side in sizes.amax(dim=0))
    batch: dict[str, Any] = {"input_size": sizes}
    for key in items[0]:
        values = [item[key] for item in items]
        if key in ("image", "fov", "target"):
            values = [F.pad(v, [0, 0, width - v.shape[-1], height - v.shape[-2]]) for v in values]
            batch[key] = torch.stack([value.as_subclass(Tensor) for value in values])
        elif key == "native_size":
            batch[key] = torch.stack(values)
        elif key == "index":
            batch[key] = torch.tensor(values)
        else:
            batch[key] = values
    return batch
