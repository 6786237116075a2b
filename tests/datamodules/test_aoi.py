import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from datamodules import AOIDataModule
from datamodules.images import read_image
from datamodules.transforms import DefectAugmentation


@pytest.fixture
def module(aoi_folder):
    """``module(**options)`` on tiny images; eight of each class, one of them for validation."""

    def make(data_dir=str(aoi_folder), **options):
        return AOIDataModule(data_dir, **{"image_size": 32, "num_workers": 0, **options})

    return make


def test_batches(module, aoi_folder, ready):
    data = ready(module(batch_size=5))
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (5, 1, 32, 32)
    assert batch["image"].dtype == torch.uint8
    assert batch["target"].dtype == batch["index"].dtype == torch.int64
    first = Image.open(aoi_folder / "train_images" / batch["name"][0])
    assert np.array_equal(batch["image"][0, 0], np.array(first))
    assert int(batch["name"][0][6:11]) % 6 == batch["target"][0]
    assert data.train_set.name(int(batch["index"][0])) == batch["name"][0]
    moved = data.on_after_batch_transfer(batch, 0)
    assert moved["image"].shape == (5, 3, 32, 32)
    assert moved["image"].dtype == torch.float32
    torch.testing.assert_close(moved["image"][0, 0] * 0.229 + 0.485, batch["image"][0, 0] / 255)
    assert moved["target"] is batch["target"]


def test_only_training_is_augmented(module, ready):
    data = ready(module(augmentation=DefectAugmentation()))
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    first = data.on_after_batch_transfer(batch, 0)["image"]
    torch.manual_seed(0)
    assert torch.equal(first, data.on_after_batch_transfer(batch, 0)["image"])
    data.trainer.training = False
    data.trainer.validating = True
    plain = data.on_after_batch_transfer(batch, 0)["image"]
    assert not torch.equal(first, plain)
    assert torch.equal(plain, data.normalize(batch["image"]))


@pytest.mark.parametrize("kept", [2**28, 0])
def test_few_images_are_decoded_once_in_fit(module, ready, monkeypatch, kept):
    monkeypatch.setattr("datamodules.aoi.KEPT", kept)
    data = ready(module(augmentation=DefectAugmentation()))
    read = []
    count = lambda path, mode: (read.append(path), read_image(path, mode))[1]  # noqa: E731
    monkeypatch.setattr("datamodules.aoi.read_image", count)
    loaders = data.train_dataloader(), data.val_dataloader()
    for _ in range(2):
        batches = [batch for loader in loaders for batch in loader]
    assert sum(len(batch["index"]) for batch in batches) == len(set(read))
    assert len(read) == len(set(read)) * (1 if kept else 2)


def test_classes_without_images_are_named(module, aoi_folder, ready, caplog):
    rows = [f"train_{i:05d}.png,{i % 5}" for i in range(21)] + ["train_00021.png,6"]
    (aoi_folder / "train.csv").write_text("\n".join(["ID,Label", *rows]))
    ready(module(class_names=list("abcdefg")))
    assert "no training image of f: no score" in caplog.text
    assert "no validation image of f, g: no score" in caplog.text
    assert "AIdea layout, gray; 17 training and 5 validation images" in caplog.text


def test_one_image_per_class_cannot_be_validated(module, aoi_folder, ready):
    (aoi_folder / "train.csv").write_text("ID,Label\ntrain_00000.png,a\ntrain_00001.png,b\n")
    with pytest.raises(DataError, match=r"train\.csv: one image a class; validation needs"):
        ready(module())
    (aoi_folder / "train.csv").write_text("ID,Label\ntrain_00000.png,a\n")
    with pytest.raises(DataError, match="give two or more, all different"):
        module()


def _draw(folder, color, name, size=(40, 20)):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(folder / name)


def test_color_is_found_kept_and_shown(module, tmp_path, ready):
    for name, color in (("red", "#ff0000"), ("blue", "#0000ff")):
        for number in range(4):
            _draw(tmp_path / "set", color, f"{name}/{number}.png")
    data = ready(module(str(tmp_path / "set"), resize="pad"))
    assert data.hparams["channels"] == "rgb"
    assert data.hparams["class_names"] == data.class_names == ["blue", "red"]
    image = data.train_set[0]["image"]
    assert image.shape == (3, 32, 32)
    assert image[:, 16, 16].tolist() == [0, 0, 255]
    assert not image[:, :7].any()
    assert ready(module(str(tmp_path / "set"), channels="gray")).train_set[0]["image"].shape[0] == 1
    again = module(str(tmp_path / "set"), **{"channels": "rgb", "class_names": ["blue", "green"]})
    with pytest.raises(DataError, match=r"label 'red' of red/0\.png is none of .*\(blue, green\)"):
        ready(again)


def test_own_validation_images_validate_and_folds_take_all(module, tmp_path, ready, caplog):
    for split, count in (("train", 4), ("val", 2)):
        for name in ("good", "bad"):
            for number in range(count):
                _draw(tmp_path / "set", "#777777", f"{split}/{name}/{number}.png")
    data = ready(module(str(tmp_path / "set")))
    assert data.val_set.names == [f"val/{n}/{i}.png" for n in ("bad", "good") for i in "01"]
    assert (len(data.train_set), data.val_set.targets.tolist()) == (8, [0, 0, 1, 1])
    tested = ready(module(str(tmp_path / "set")), "test")
    assert tested.test_set.names == data.val_set.names
    assert "no test images, so the VALIDATION images" in caplog.text
    folded = ready(module(str(tmp_path / "set"), folds=3, fold=0))
    assert (len(folded.train_set), len(folded.val_set)) == (8, 4)


@pytest.mark.parametrize("names", [[], ["a", "b", "a"], ["a", ""]])
def test_class_names_are_one_a_class(names):
    with pytest.raises(DataError, match=r"data\.class_names: .* all different"):
        AOIDataModule(class_names=names)


def test_unlabeled_test_set_says_what_to_do_and_is_predicted(module, aoi_folder, ready):
    rows = [f"test_{i:05d}.png," for i in range(12)]
    (aoi_folder / "test.csv").write_text("\n".join(["ID,Label", *rows]))
    with pytest.raises(DataError, match=r"test\.csv: has no labels to test against; `validate`"):
        ready(module(), "test")
    data = ready(module(), "predict")
    (batch,) = data.predict_dataloader()
    assert batch["name"] == [f"test_{i:05d}.png" for i in range(12)]
    assert batch["target"].tolist() == [-1] * 12


def test_a_folder_or_one_image_is_predicted_and_is_not_the_sample(module, aoi_folder, ready):
    folder = aoi_folder / "test_images"
    data = ready(module(data_dir=None, predict_dir=str(folder)), "predict")
    assert not data.is_sample
    assert data.data_source == str(folder)
    assert len(data.predict_set) == 12
    one = ready(module(data_dir=None, predict_dir=str(folder / "test_00003.png")), "predict")
    assert [batch["name"] for batch in one.predict_dataloader()] == [["test_00003.png"]]


def test_folders_below_are_predicted_on_demand(module, aoi_folder, ready):
    with pytest.raises(DataError, match="holds no image"):
        ready(module(predict_dir=str(aoi_folder)), "predict")
    data = ready(module(predict_dir=str(aoi_folder), recursive=True, batch_size=60), "predict")
    (batch,) = data.predict_dataloader()
    assert batch["name"][0] == "test_images/test_00000.png"
    assert len(batch["name"]) == 60


def test_another_folder_is_tested(module, tmp_path, ready):
    """With the same classes: its test images, else all."""
    for name in ("class 0", "class 3"):
        for number in range(3):
            _draw(tmp_path / "line 2", "#777777", f"{name}/{number}.png")
    data = ready(module(test_dir=str(tmp_path / "line 2")), "test")
    assert data.data_source == str(tmp_path / "line 2")
    assert data.test_set.targets.tolist() == [0, 0, 0, 3, 3, 3]
    _draw(tmp_path / "line 2", "#777777", "test/class 5/0.png")
    assert ready(module(test_dir=str(tmp_path / "line 2")), "test").test_set.targets.tolist() == [5]
    _draw(tmp_path / "line 3", "#777777", "scratch/0.png")
    with pytest.raises(
        DataError, match=r"label 'scratch' of scratch/0\.png is none of the classes"
    ):
        ready(module(test_dir=str(tmp_path / "line 3")), "test")
