from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

from datamodules import DRIVEReconstructionDataModule, DRIVESegmentationDataModule, fundus
from datamodules.drive import FundusInput, read_drive, read_mask
from datamodules.drive_sample import draw_eye
from datamodules.errors import DataError
from datamodules.fundus_augmentation import Augmentation, RandomLight

REAL = Path(__file__).parents[2] / "shared" / "data" / "DRIVE"
SIZE = (44, 40)  # height, width


class OneProcess:
    """What a datamodule asks of its trainer."""

    world_size, global_rank, training, predicting = 1, 0, True, False


def disc():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return (y - 22) ** 2 + (x - 20) ** 2 < 18**2


def write(folder, name, pixels, mode=None):
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels, mode) if mode else Image.fromarray(pixels)
    if mode == "P":
        image.putpalette([3, 3, 3, 253, 253, 253])
    image.save(folder / name)


def photograph(seed):
    pixels = np.random.default_rng(seed).integers(90, 160, (*SIZE, 3), dtype=np.uint8)
    return pixels * disc()[..., None].astype(np.uint8)


def vessels(seed):
    """A mask whose position tells the image it belongs to."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10 + seed % 20, 8:30] = 255
    return mask


@pytest.fixture
def official(tmp_path):
    for split, first, count in (("training", 21, 6), ("test", 1, 3)):
        for n in range(first, first + count):
            folder = tmp_path / split
            write(folder / "images", f"{n:02d}_{split}.tif", photograph(n))
            write(folder / "1st_manual", f"{n:02d}_manual1.gif", vessels(n))
            fov = disc().astype(np.uint8) * 255
            write(folder / "mask", f"{n:02d}_{split}_mask.gif", fov)
            if split == "test":
                write(folder / "2nd_manual", f"{n:02d}_manual2.gif", vessels(n) // 255, "P")
    return tmp_path


@pytest.fixture
def flat(tmp_path):
    for split, count in (("train", 5), ("test", 2)):
        for n in range(count):
            write(tmp_path / split / "images", f"eye-{n}.png", photograph(n))
            write(tmp_path / split / "masks", f"eye-{n}.png", vessels(n))
    return tmp_path


def ready(datamodule, stage, **trainer):
    datamodule.trainer = type("Trainer", (OneProcess,), trainer)()
    datamodule.prepare_data()
    datamodule.setup(stage)
    return datamodule


NATIVE = FundusInput("rgb", size=None)


def test_official_layout_pairs_by_name(official):
    # Sorted last among the images, first among the masks: pairing by position would break.
    (official / "test/images/01_test.tif").rename(official / "test/images/zz_test.tif")
    (official / "test/mask/01_test_mask.gif").rename(official / "test/mask/zz_test_mask.gif")
    for observer in (1, 2):
        old = official / f"test/{['1st', '2nd'][observer - 1]}_manual/01_manual{observer}.gif"
        old.rename(old.with_name(f"zz_manual{observer}.gif"))
    splits = read_drive(official)
    assert [len(splits[split]) for split in ("training", "test")] == [6, 3]
    for eye in splits["training"] + splits["test"]:
        key = eye.image.name[:2]
        assert eye.vessels.name.startswith(key)
        assert eye.fov.name.startswith(key)
        assert eye.second is None or eye.second.name.startswith(key)


def test_second_observer_is_a_palette_file_of_two_near_black_and_white_grays(official):
    eye = read_drive(official)["test"][1]
    assert set(np.unique(Image.open(eye.second).convert("L"))) == {3, 253}
    mask = read_mask(eye.second, eye.image, SIZE)
    assert mask.dtype == torch.bool
    assert torch.equal(mask[0], torch.from_numpy(vessels(2) > 0))


def test_flat_layout(flat):
    splits = read_drive(flat)
    assert [len(splits[split]) for split in ("training", "test")] == [5, 2]
    assert all(eye.image.name == eye.vessels.name and eye.fov is None for eye in splits["test"])
    data = ready(DRIVESegmentationDataModule(str(flat), val_size=2, inputs=NATIVE), "test")
    batch = next(iter(data.test_dataloader()))
    assert batch["native_fov"] == [None]
    assert batch["fov"].any()  # estimated


def test_a_folder_without_splits_is_all_test(flat):
    assert set(read_drive(flat / "train")) == {"test"}
    with pytest.raises(DataError, match="no training/ folder"):
        ready(DRIVESegmentationDataModule(str(flat / "train")), "fit")


def test_validation_split_by_seed(official):
    def names(seed):
        data = ready(DRIVESegmentationDataModule(str(official), seed=seed, val_size=2), "fit")
        train, val = data.training_split()
        return {e.image.name for e in train}, {e.image.name for e in val}

    train, val = names(1)
    assert len(train) == 4
    assert len(val) == 2
    assert not train & val
    assert names(1) == (train, val)
    assert any(names(seed)[1] != val for seed in range(2, 6))


@pytest.mark.parametrize(
    ("spoil", "cause", "named"),
    [
        (lambda d: (d / "1st_manual/22_manual1.gif").unlink(), "has no mask", "1st_manual/22"),
        (lambda d: (d / "mask/22_training_mask.gif").unlink(), "has no mask", "mask/22"),
        (lambda d: (d / "images/22_training.tif").unlink(), "has no image", "images/22"),
        (
            lambda d: write(d / "images", "22_training.png", photograph(1)),
            "two files",
            "22_training.png",
        ),
        (
            lambda d: write(d / "1st_manual", "22_manual1.gif", np.ones((8, 9), np.uint8)),
            "9x8 px",
            "22_training.tif of 40x44",
        ),
        (
            lambda d: write(d / "1st_manual", "22_manual1.gif", np.zeros(SIZE, np.uint8)),
            "empty mask",
            "22_training.tif",
        ),
        (
            lambda d: write(d / "1st_manual", "22_manual1.gif", photograph(3)[..., 0]),
            "not a binary mask",
            "22_training.tif",
        ),
        (
            lambda d: (d / "images/22_training.tif").write_bytes(b"II*\0broken"),
            "not a readable image",
            "22_training.tif",
        ),
    ],
)
def test_bad_files_stop_before_training_and_are_named(official, spoil, cause, named):
    spoil(official / "training")
    with pytest.raises(DataError) as error:
        ready(DRIVESegmentationDataModule(str(official), val_size=2), "fit")
    message = str(error.value)
    assert cause in message
    assert named in message
    assert "22_" in message
    assert "\n" not in message


def test_smoothed_edges_become_binary(tmp_path):
    mask = Image.fromarray(vessels(5)).resize((SIZE[1] * 4, SIZE[0] * 4), Image.Resampling.BICUBIC)
    mask.save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png", tmp_path / "image.png", (SIZE[0] * 4, SIZE[1] * 4))
    assert len(np.unique(mask)) > 10
    assert 0 < read.float().mean() < 0.1


def test_without_test_masks_validation_is_offered(official):
    for path in (official / "test/1st_manual").iterdir():
        path.unlink()
    data = DRIVESegmentationDataModule(str(official), val_size=2)
    with pytest.raises(DataError, match=r"no manual masks.*--data.test_on validation.*predict"):
        ready(data, "test")
    ready(data, "predict")
    assert len(data.predict_set) == 3
    ready(DRIVESegmentationDataModule(str(official), val_size=2, test_on="validation"), "test")


@pytest.mark.parametrize("wrong", ["nowhere", "."])
def test_wrong_folder_is_an_error_and_never_the_sample(tmp_path, wrong):
    with pytest.raises(DataError, match=str(tmp_path)):
        ready(DRIVESegmentationDataModule(str(tmp_path / wrong)), "fit")


def test_reference_input(official):
    data = ready(DRIVESegmentationDataModule(str(official), val_size=2, batch_size=2), "fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 1, 512, 512)
    assert batch["image"].min() >= -1
    assert batch["image"].max() <= 1
    assert batch["vessels"].shape == batch["fov"].shape == (2, 1, 512, 512)


def test_native_input_is_padded(official):
    data = DRIVESegmentationDataModule(str(official), val_size=2, batch_size=3, inputs=NATIVE)
    batch = next(iter(ready(data, "fit").train_dataloader()))
    assert batch["image"].shape == (3, 3, 64, 64)
    assert batch["input_size"].tolist() == [list(SIZE)] * 3
    assert not batch["image"][..., SIZE[0] :, :].any()
    assert not batch["fov"][..., SIZE[1] :].any()


@pytest.mark.parametrize("crop", [None, 32])
def test_augmentation_is_joint_and_each_sample_has_its_own(official, crop):
    data = DRIVESegmentationDataModule(
        str(official),
        val_size=2,
        batch_size=2,
        inputs=FundusInput("green", size=None),
        augmentation=Augmentation(crop, gain=0, channel_gain=0, offset=0, mixing=0, noise=0),
        views_per_image=3,
    )
    ready(data, "fit")
    assert len(data.train_set) == 3 * 4
    item = {**data.train_set[0]}
    # The picture is its own mask, so that whatever happens to one must happen to the other.
    item["vessels"] = item["fov"]
    item["image"] = item["fov"].float()
    torch.manual_seed(0)
    out = data.on_after_batch_transfer([item, item], 0)
    assert out["image"].shape[-2:] == ((crop, crop) if crop else SIZE)
    assert torch.equal(out["image"], out["vessels"])
    assert torch.equal(out["fov"], out["vessels"] > 0.99)
    assert 0.1 < out["vessels"].mean() < 0.9
    assert not torch.equal(out["vessels"][0], out["vessels"][1])
    torch.manual_seed(0)
    assert torch.equal(data.on_after_batch_transfer([item, item], 0)["image"], out["image"])
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert batch["vessels"].min() == 0
    assert 0.9 < batch["vessels"].max() <= 1


def test_light_changes_the_picture_alone():
    torch.manual_seed(0)
    image, mask = tv_tensors.Image(torch.randn(3, 8, 8)), tv_tensors.Mask(torch.ones(2, 8, 8))
    changed, same = RandomLight(Augmentation())(image, mask)
    assert torch.equal(same, mask)
    assert (changed - image).abs().mean() > 0.05


def test_evaluation_is_not_augmented(official):
    data = DRIVESegmentationDataModule(str(official), val_size=2, augmentation=Augmentation())
    ready(data, "fit", training=False)
    batch = next(iter(data.val_dataloader()))
    assert data.on_after_batch_transfer(batch, 0) is batch


def test_plain_folder_for_prediction(tmp_path):
    write(tmp_path, "a.png", photograph(1))
    write(tmp_path, "b.jpg", photograph(2)[:30, :35])
    data = DRIVESegmentationDataModule(predict_dir=str(tmp_path))
    ready(data, "predict", predicting=True)
    assert not data.is_sample
    assert data.data_source == str(tmp_path)
    names = [name for batch in data.predict_dataloader() for name in batch["name"]]
    assert names == ["a.png", "b.jpg"]
    write(tmp_path, "a.jpg", photograph(1))
    with pytest.raises(DataError, match=r"a\.jpg.*a\.png"):
        ready(data, "predict", predicting=True)


def test_reconstruction_needs_no_masks(official):
    for split in ("training", "test"):
        for part in ("1st_manual", "mask"):
            for path in (official / split / part).iterdir():
                path.unlink()
    data = ready(DRIVEReconstructionDataModule(str(official), val_size=2, size=64), "fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (1, 3, 64, 64)
    assert batch["image"].min() == -1
    assert batch["native_size"].tolist() == [list(SIZE)]
    ready(data, "test")
    assert len(list(data.test_dataloader())) == 3


def test_other_camera_is_brought_to_the_same_scale_and_light():
    picture, _, fov, _ = draw_eye(np.random.default_rng(0))
    small = torch.from_numpy(picture).permute(2, 0, 1)
    far = torch.nn.functional.interpolate(small[None].float(), scale_factor=1.7)[0].byte()
    estimated = fundus.estimate_fov(small)
    drawn = torch.from_numpy(fov)[None]
    assert (estimated & drawn).sum() / (estimated | drawn).sum() > 0.97
    ratio = fundus.fov_diameter(fundus.estimate_fov(far)) / fundus.fov_diameter(estimated)
    assert ratio == pytest.approx(1.7, rel=0.02)
    dim = (small.float() * 0.6).byte()  # exposure goes out with the light
    even, even_dim = (fundus.even_light(x, drawn, 10.0) for x in (small, dim))
    assert (even - even_dim).abs().mean() < 0.06
    assert not even[:, ~drawn[0]].any()
    assert fundus.resize_to_diameter(fundus.fov_diameter(drawn) * 1.04, drawn) == list(fov.shape)
    assert fundus.resize_to_diameter(fundus.fov_diameter(drawn) / 2, drawn) == [146, 141]


def test_sample_is_deterministic_and_has_thin_vessels():
    first, again = (draw_eye(np.random.default_rng([0, 21])) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    picture, mask, fov, second = first
    assert picture.dtype == np.uint8
    assert not mask[~fov].any()
    assert 0.08 < mask[fov].mean() < 0.2
    assert 0.6 < 2 * (mask & second).sum() / (mask.sum() + second.sum()) < 0.95
    green = picture[..., 1].astype(float)
    assert green[mask].mean() < green[fov & ~mask].mean() - 10


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the DRIVE set in ../shared/data/DRIVE")
def test_real_set():
    splits = read_drive(REAL)
    assert [len(splits[split]) for split in ("training", "test")] == [20, 20]
    eye = splits["test"][0]
    assert eye.second is not None
    item = FundusInput("gray", 512).read(eye)
    assert item["native_size"].tolist() == [584, 565]
    assert 0.08 < item["native_vessels"][item["native_fov"]].float().mean() < 0.2
