import pytest
import torch

from datamodules import DRIVEReconstructionDataModule
from datamodules.transforms import RandomCropFlip


@pytest.fixture
def bare(official):
    """The layout without any masks."""
    for split in ("training", "test"):
        for part in ("1st_manual", "mask"):
            for path in (official / split / part).iterdir():
                path.unlink()
    return official


def test_it_needs_no_masks(bare, fundus, ready):
    data = ready(DRIVEReconstructionDataModule(str(bare), val_size=2, size=64))
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["image"].shape == (1, 3, 64, 64)
    assert batch["image"].min() == -1
    assert batch["native_size"].tolist() == [list(fundus.size)]
    assert torch.equal(batch["target"], batch["image"])
    assert len(list(ready(data, "test").test_dataloader())) == 3


def test_crops_are_their_own_targets(bare, ready):
    data = ready(
        DRIVEReconstructionDataModule(
            str(bare),
            val_size=2,
            size=64,
            batch_size=2,
            crops_per_image=5,
            augmentation=RandomCropFlip(16),
        )
    )
    assert len(data.train_set) == 5 * 4
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["target"] is batch["image"]
    assert batch["index"].shape == (2,)
    whole = next(iter(data.val_dataloader()))
    assert data.on_after_batch_transfer(whole, 0)["image"].shape == (1, 3, 64, 64)


def test_predict_dir_may_be_one_photograph(bare, ready):
    path = bare / "test/images/02_test.tif"
    data = ready(DRIVEReconstructionDataModule(predict_dir=str(path)), "predict")
    assert [batch["name"] for batch in data.predict_dataloader()] == [["02_test.tif"]]
