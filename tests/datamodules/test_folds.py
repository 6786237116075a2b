import numpy as np
import pytest
import torch

from common.errors import DataError
from datamodules import (
    AOIDataModule,
    DRIVEReconstructionDataModule,
    DRIVESegmentationDataModule,
)
from datamodules.aoi_files import stratified_split
from datamodules.folds import fold_split


def test_each_sample_is_held_out_once():
    parts = [fold_split("here", 3, fold, 0, 10) for fold in range(3)]
    assert sorted(np.concatenate([held_out for _, held_out in parts])) == list(range(10))
    for train, held_out in parts:
        assert sorted([*train, *held_out]) == list(range(10))


def test_each_class_is_spread_evenly_and_the_seed_shuffles():
    labels = np.repeat([0, 1, 2], [20, 10, 5])
    for fold in range(5):
        _, held_out = fold_split("here", 5, fold, 0, 35, labels)
        assert np.bincount(labels[held_out]).tolist() == [4, 2, 1]
    first, other = (fold_split("here", 5, 0, seed, 35, labels)[1].tolist() for seed in (0, 1))
    assert first == fold_split("here", 5, 0, 0, 35, labels)[1].tolist() != other
    assert first != list(range(7)), "not in the order of the table"


def test_too_many_folds():
    with pytest.raises(DataError, match="here: 4 training images for 5"):
        fold_split("here", 5, 0, 0, 4)
    with pytest.raises(DataError, match="here: 7 images of a class for 8"):
        fold_split("here", 8, 0, 0, 9, np.repeat([0, 1], [7, 2]))


def test_a_rare_class_is_absent_from_some_folds(caplog, recwarn):
    labels = np.repeat([0, 2], [7, 2])
    held_out = [labels[fold_split("here", 3, fold, 0, 9, labels)[1]] for fold in range(3)]
    assert sorted(np.concatenate(held_out)) == labels.tolist()
    assert "here: a class of 2 images is absent from some folds" in caplog.text
    assert not recwarn


@pytest.mark.parametrize(("folds", "fold"), [(5, 5), (None, 1), (1, 0)])
def test_folds_that_do_not_go_together(folds, fold):
    with pytest.raises(DataError, match=f"fold {fold} needs data.folds {max(fold + 1, 2)} or more"):
        AOIDataModule(folds=folds, fold=fold)


def held_out(data):
    return [data.val_set.name(i) for i in range(len(data.val_set))]


def test_without_folds_the_split_is_what_it_was(aoi_folder, official, ready):
    data = ready(AOIDataModule(str(aoi_folder), num_workers=0))
    labels = torch.arange(48) % 6
    _, val = stratified_split(labels, 0.15, 0)
    assert held_out(data) == [f"train_{i:05d}.png" for i in val.tolist()]
    data = ready(DRIVEReconstructionDataModule(str(official), size=32, val_size=2))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(42))[:2]
    assert held_out(data) == [f"{21 + i}_training.tif" for i in sorted(order.tolist())]


@pytest.mark.parametrize("kind", [DRIVEReconstructionDataModule, DRIVESegmentationDataModule])
def test_drive_folds_are_of_images(kind, official, ready):
    names = [
        name
        for fold in range(3)
        for name in held_out(ready(kind(str(official), folds=3, fold=fold)))
    ]
    assert sorted(names) == [f"{n}_training.tif" for n in range(21, 27)]
    with pytest.raises(DataError, match="6 training images for 7"):
        ready(kind(str(official), folds=7, fold=0))
