"""Labeled images as items."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torch.utils.data import Dataset

from datamodules.images import read_image
from datamodules.preprocessing import Resize, resize_square


@dataclass(eq=False)
class DefectDataset(Dataset[dict[str, Any]]):
    """Images of one folder with their classes.

    Items are ``image`` uint8 ``(1 or 3, size, size)``, ``target``, ``name`` and ``index``; with
    ``features`` these, float32 ``(F,)``, in place of the image.

    Args:
        folder: where the files are.
        names: paths in it.
        targets: classes, int64 ``(N,)``, ``UNLABELED`` where unknown.
        size: side in px that images are resized to.
        mode: "L" reads gray, "RGB" color.
        resize: see `resize_square`.
        features: of a frozen backbone ``(N, F)``.
    """

    folder: Path
    names: Sequence[str]
    targets: Tensor
    size: int
    mode: Literal["L", "RGB"] = "L"
    resize: Resize = "squash"
    features: Tensor | None = None

    @property
    def in_memory(self) -> bool:
        """Whether a worker process could only pass items on."""
        return self.features is not None

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def __getitem__(self, index: int) -> dict[str, Any]:
        name = self.name(index)
        item = {"target": self.targets[index], "name": name, "index": index}
        if self.features is not None:
            return {"features": self.features[index], **item}
        pixels = read_image(self.folder / name, self.mode)
        image = resize_square(pixels, self.size, self.resize).as_subclass(Tensor)
        return {"image": image, **item}
