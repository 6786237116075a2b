"""What is kept in memory, and that it is bounded."""

import torch
from torch.utils.data import Dataset

from datamodules.cached_dataset import CachedDataset


class Counting(Dataset):
    """Five items of 400 bytes each; counts how often they are read."""

    def __init__(self):
        self.reads = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.reads += 1
        return {"image": torch.full((100,), float(index)), "name": "x", "pair": (torch.ones(0),)}


def test_items_are_gone_through_again():
    kept = CachedDataset(Counting(), repeats=3)
    assert len(kept) == 15
    assert kept[11] is kept[1]
    assert kept.in_memory


def test_what_does_not_fit_is_read_anew(monkeypatch):
    monkeypatch.setattr("datamodules.cached_dataset.LIMIT", 900)
    source = Counting()
    kept = CachedDataset(source)
    assert len(kept.items) == 2
    assert not kept.in_memory
    assert [float(kept[i]["image"][0]) for i in range(5)] == [0, 1, 2, 3, 4]
    assert source.reads == 5 + 3
