import numpy as np
import pytest
import torch

from common.errors import DataError
from datamodules import DRIVEReconstructionDataModule, DRIVESegmentationDataModule
from datamodules.fundus_input import FundusInput
from datamodules.transforms import FundusAugmentation, RandomCropFlip

MASK = "1st_manual/22_manual1.gif"
NATIVE = FundusInput("rgb", size=None)


def module(folder, **options):
    return DRIVESegmentationDataModule(str(folder), **{"val_size": 2, **options})


def test_a_folder_without_splits_is_divided_or_another_cameras_test_set(flat, ready, caplog):
    folder = flat / "train"
    assert len(ready(module(folder), "fit").train_set) == 2
    assert (
        "images/, masks/ (vessels); no given split; 2 training, 2 validation and 1" in caplog.text
    )
    assert len(ready(module(folder), "test").test_set) == 1
    batch = next(iter(ready(module(flat, inputs=NATIVE), "test").test_dataloader()))
    assert batch["native_fov"] == [None]
    assert batch["fov"].any()
    assert not batch["fov"].all(), "estimated"
    assert len(ready(module(flat, test_dir=str(folder)), "test").test_set) == 5
    with pytest.raises(
        DataError, match=r"images: no drawn vessels to score with; expected images/"
    ):
        ready(module(flat, test_dir=str(folder / "images")), "test")


@pytest.mark.parametrize("val_size", [6, 7])
def test_a_validation_split_that_leaves_nothing_is_refused(official, ready, val_size):
    with pytest.raises(DataError, match=rf"data\.val_size is 1 to 5, not {val_size}"):
        ready(module(official, val_size=val_size))


@pytest.mark.parametrize(
    ("file", "made", "cause"),
    [
        ("1st_manual/22_manual1.gif", None, "has no mask .*1st_manual/22"),
        ("mask/22_training_mask.gif", None, "has no mask .*mask/22"),
        ("images/22_training.tif", None, "has no image .*images/22"),
        ("images/22_training.png", lambda f: f.photograph(1), "two files"),
        ("images/22_training.tif", lambda f: b"II*\0broken", r"22_training\.tif: not a readable"),
        (MASK, lambda f: np.ones((8, 9), np.uint8), "9x8 px for .*22_training.tif of 40x44"),
        (MASK, lambda f: np.zeros(f.size, np.uint8), "empty mask .*22_training.tif"),
        (MASK, lambda f: f.photograph(3)[..., 0], "not a binary mask .*22_training.tif"),
        (MASK, lambda f: 255 - f.vessels(22), "22_training.tif is vessel, and"),
    ],
)
@pytest.mark.parametrize("seed", [0, 2])  # 22 in training or in validation
def test_bad_files_stop_before_training_and_are_named(
    official, fundus, ready, file, made, cause, seed
):
    path = official / "training" / file
    if made is None:
        path.unlink()
    elif isinstance(pixels := made(fundus), bytes):
        path.write_bytes(pixels)
    else:
        fundus.write(path.parent, path.name, pixels)
    with pytest.raises(DataError, match=cause) as error:
        ready(module(official, seed=seed))
    assert "22_" in str(error.value)
    assert "\n" not in str(error.value)


def test_without_drawn_test_vessels_validation_is_scored_and_said(official, ready, caplog):
    for path in (official / "test/1st_manual").iterdir():
        path.unlink()
    assert len(ready(module(official), "test").test_set) == 2
    assert "so the VALIDATION images are scored" in caplog.text
    assert len(ready(module(official), "predict").predict_set) == 3
    for path in (official / "training/1st_manual").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="vessels are not drawn for all; expected images/ beside"):
        ready(module(official))


@pytest.mark.parametrize("wrong", ["nowhere", "."])
def test_wrong_folder_is_an_error_and_never_the_sample(tmp_path, ready, wrong):
    with pytest.raises(DataError, match=str(tmp_path)):
        ready(module(tmp_path / wrong))


def test_reference_input(official, ready):
    data = ready(module(official, batch_size=2))
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 1, 512, 512)
    assert batch["image"].min() >= -1
    assert batch["image"].max() <= 1
    assert batch["target"].shape == batch["fov"].shape == (2, 1, 512, 512)
    assert batch["index"].tolist() == [data.train_set[i]["index"] for i in batch["index"]]


def test_native_input_is_padded(official, fundus, ready):
    data = ready(module(official, batch_size=3, inputs=NATIVE))
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (3, 3, 64, 64)
    assert batch["input_size"].tolist() == [list(fundus.size)] * 3
    assert not batch["image"][..., fundus.size[0] :, :].any()
    assert not batch["fov"][..., fundus.size[1] :].any()


@pytest.mark.parametrize("crop", [None, 32])
def test_augmentation_is_joint_and_each_sample_has_its_own(official, fundus, ready, crop):
    still = {"contrast": 0, "channel_contrast": 0, "brightness": 0, "channel_mixing": 0}
    augmentation = FundusAugmentation(crop, noise=0, other_camera_prob=0, **still)
    options = {"inputs": FundusInput("gray", size=None), "augmentation": augmentation}
    data = ready(module(official, batch_size=2, crops_per_image=3, **options))
    assert len(data.train_set) == 3 * 4
    item = {**data.train_set[0]}
    # The picture is its own mask, so that whatever happens to one must happen to the other.
    item["target"] = item["fov"]
    item["image"] = item["fov"].float()
    torch.manual_seed(0)
    out = data.on_after_batch_transfer([item, item], 0)
    assert out["image"].shape[-2:] == ((crop, crop) if crop else fundus.size)
    assert torch.equal(out["image"], out["target"])
    assert torch.equal(out["fov"], out["target"] > 0.99)
    assert 0.1 < out["target"].mean() < 0.9
    assert not torch.equal(out["target"][0], out["target"][1])
    torch.manual_seed(0)
    assert torch.equal(data.on_after_batch_transfer([item, item], 0)["image"], out["image"])
    whole = next(iter(data.val_dataloader()))
    assert data.on_after_batch_transfer(whole, 0) is whole, "evaluation is not augmented"
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["target"].min() == 0
    assert 0.9 < batch["target"].max() <= 1
    assert len(batch["name"]) == len(batch["index"]) == 2


def test_photographs_of_one_name_would_be_predicted_into_one_file(tmp_path, fundus, ready):
    for name in ("a.png", "a.jpg"):
        fundus.write(tmp_path, name, fundus.photograph(1))
    with pytest.raises(DataError, match=r"a\.jpg.*a\.png"):
        ready(DRIVESegmentationDataModule(predict_dir=str(tmp_path)), "predict")


def test_prediction_needs_no_vessels(official, ready):
    (official / "test/1st_manual/01_manual1.gif").write_text("no image")
    (batch, *_) = ready(module(official), "predict").predict_dataloader()
    assert "target" not in batch
    assert batch["native_target"] == [None]
    assert batch["native_fov"][0].any()


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
    crops = {"crops_per_image": 5, "augmentation": RandomCropFlip(16), "batch_size": 2}
    data = ready(DRIVEReconstructionDataModule(str(bare), val_size=2, size=64, **crops))
    assert len(data.train_set) == 5 * 4
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["target"] is batch["image"]
    assert batch["index"].shape == (2,)
    whole = next(iter(data.val_dataloader()))
    assert data.on_after_batch_transfer(whole, 0)["image"].shape == (1, 3, 64, 64)
