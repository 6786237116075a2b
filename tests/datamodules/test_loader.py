"""What is kept in memory, an image that cannot be read, and a process that has none."""

import multiprocessing
import os
import signal

import pytest
import torch
from torch.utils.data import Dataset, default_collate

from common.errors import DataError
from datamodules.loader import CachedDataset, ImageLoader, SafeDataset


class Numbers(Dataset):
    """Items 0, 1, 2 ...; some of them raise."""

    def __init__(self, length, bad=(), error=DataError):
        self.length, self.bad, self.error = length, bad, error

    def __len__(self):
        return self.length

    def name(self, index):
        return f"{index}.png"

    def __getitem__(self, index):
        if index in self.bad:
            raise self.error(f"/data/{index}.png: not a readable image; replace or remove it")
        return {"value": torch.tensor(index)}


def loader(dataset, skipped=None, **options):
    safe = SafeDataset(dataset, default_collate)
    return ImageLoader(
        safe, skipped=skipped, collate_fn=safe.collate, **{"batch_size": 2, **options}
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_stops_with_its_line_alone(workers):
    batches = iter(loader(Numbers(6, bad=(3,)), num_workers=workers))
    assert next(batches)["value"].tolist() == [0, 1]
    with pytest.raises(DataError) as error:
        next(batches)
    assert str(error.value) == "/data/3.png: not a readable image; replace or remove it"


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_images_are_skipped_and_reported(workers, caplog):
    skipped = []
    batches = list(loader(Numbers(8, bad=(1, 4, 5)), skipped, num_workers=workers))
    assert [batch["value"].tolist() for batch in batches] == [[0], [2, 3], [6, 7]]
    assert [name for name, _ in skipped] == ["1.png", "4.png", "5.png"]
    assert skipped[0][1] == "/data/1.png: not a readable image; replace or remove it"
    assert caplog.text.count("skipped: /data/") == 3


@pytest.mark.parametrize("skipped", [None, []])
def test_other_errors_are_not_swallowed(skipped):
    with pytest.raises(ZeroDivisionError):
        list(loader(Numbers(3, bad=(0,), error=ZeroDivisionError), skipped))


def test_an_idle_process_has_a_length_that_lightning_takes_and_no_batch():
    idle = loader(Numbers(1), sampler=range(1, 1, 2))
    assert len(idle) == 1
    assert list(idle) == []
    assert len(loader(Numbers(5))) == 3


def test_workers_in_a_temporary_folder_with_a_long_name(tmp_path, monkeypatch):
    folder = tmp_path / ("scratch_of_a_user_of_a_cluster_" * 4)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.delitem(multiprocessing.current_process()._config, "tempdir", raising=False)
    batches = list(loader(Numbers(4), num_workers=1))
    assert [batch["value"].tolist() for batch in batches] == [[0, 1], [2, 3]]


def test_what_callbacks_keep_does_not_hold_shared_memory(tmp_path):
    (batch,) = loader(Numbers(2), num_workers=1)
    assert not batch["value"].is_shared()


class Dies(Numbers):
    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGBUS)  # as where /dev/shm is full


def test_a_worker_that_dies_is_one_line():
    with pytest.raises(DataError, match=r"a process that reads images ended .*num_workers 0"):
        list(loader(Dies(2), num_workers=1))


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
    monkeypatch.setattr("datamodules.loader.LIMIT", 900)
    source = Counting()
    kept = CachedDataset(source)
    assert len(kept.items) == 2
    assert not kept.in_memory
    assert [float(kept[i]["image"][0]) for i in range(5)] == [0, 1, 2, 3, 4]
    assert source.reads == 5 + 3
