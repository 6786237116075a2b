"""Decoded training samples kept in memory, up to a bound."""

from typing import Any

import torch
from lightning_fabric.utilities import move_data_to_device
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.data import Dataset

LIMIT = 2 * 2**30  # bytes in each process that reads


class CachedDataset(Dataset):
    """The items of a data set, each read once as long as all that is kept fits in `LIMIT` bytes.

    What no longer fits is read anew each time: a larger data set costs time, not memory. All items
    are read here once, so that a bad file stops the run before training. Whoever gets an item must
    not change its tensors.

    Args:
        dataset: what is read.
        repeats: how often it is gone through.
        device: where all items are kept if they fit, so that nothing is copied to it in a step.
    """

    def __init__(
        self,
        dataset: Dataset,
        repeats: int = 1,
        device: torch.device = torch.device("cpu"),
    ) -> None:
        self.dataset, self.repeats = dataset, repeats
        self.items, left = dict[int, Any](), LIMIT
        for index in range(len(dataset)):  # type: ignore[arg-type]
            item = dataset[index]
            size = sum(leaf.nbytes for leaf in tree_leaves(item) if isinstance(leaf, Tensor))
            if size <= left:
                self.items[index] = item
                left -= size
        self.in_memory = len(self) == repeats * len(self.items)
        if self.in_memory and device.type != "cpu":
            self.items = move_data_to_device(self.items, device)

    def __len__(self) -> int:
        return self.repeats * len(self.dataset)  # type: ignore[arg-type]

    def name(self, index: int) -> str:
        return self.dataset.name(index % (len(self) // self.repeats))  # type: ignore[attr-defined]

    def __getitem__(self, index: int) -> Any:
        index %= len(self) // self.repeats
        return self.items[index] if index in self.items else self.dataset[index]
