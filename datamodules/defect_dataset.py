"""Labeled images as items, and the features of a frozen backbone in their place."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.images import read_image
from datamodules.preprocessing import Resize, resize_square


class DefectDataset(Dataset[dict[str, Any]]):
    """Images of one folder with their classes.

    Items are ``image`` uint8 ``(1 or 3, size, size)``, ``target``, ``name`` and ``index``.

    Args:
        folder: where the files are.
        names: paths in it, an array of strings ``(N,)``.
        targets: classes, int64 ``(N,)``, ``UNLABELED`` where unknown.
        size: side in px that images are resized to.
        mode: "L" reads gray, "RGB" color.
        resize: see `resize_square`.
    """

    def __init__(
        self,
        folder: Path,
        names: np.ndarray,
        targets: Tensor,
        size: int,
        mode: Literal["L", "RGB"] = "L",
        resize: Resize = "squash",
    ) -> None:
        self.folder, self.names, self.targets = folder, names, targets
        self.size, self.mode, self.resize = size, mode, resize

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return str(self.names[index])

    def __getitem__(self, index: int) -> dict[str, Any]:
        name = self.name(index)
        pixels = read_image(self.folder / name, self.mode)
        image = resize_square(pixels, self.size, self.resize).as_subclass(Tensor)
        return {"image": image, "target": self.targets[index], "name": name, "index": index}


class FeatureDataset(Dataset[dict[str, Any]]):
    """As the images, with ``features`` float32 ``(F,)`` in place of each ``image``.

    Args:
        images: the data set that the features are of.
        features: ``(N, F)``, in its order.
    """

    in_memory = True  # a worker could only pass them on

    def __init__(self, images: DefectDataset, features: Tensor) -> None:
        self.images, self.features, self.targets = images, features, images.targets

    def __len__(self) -> int:
        return len(self.features)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = {"target": self.targets[index], "name": self.name(index), "index": index}
        return {"features": self.features[index], **item}
