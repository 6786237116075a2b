"""Blot data: the layout, the split, and each way a folder can be wrong."""

import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import tiny_data
from common.errors import DataError
from datamodules import BlotDataModule, StyledBlotDataModule
from datamodules.synthetic.blots import draw_sample
from datamodules.transforms import RandomCropFlip


@pytest.fixture
def make(ready):
    """``make(root, stage, **options)``: a module that is set up."""

    def build(root, stage="fit", **options):
        return ready(BlotDataModule(str(root), **{"size": 16, **options}), stage)

    return build


def test_batches(blots, make):
    data = make(blots, batch_size=3)
    batch = next(iter(data.train_dataloader()))
    templates, targets = batch["image"], batch["target"]
    assert templates.shape == (3, 2, 16, 16)
    assert targets.shape == (3, 1, 16, 16)
    assert -1 <= templates.min() < -0.9
    assert 0.9 < templates.max() <= 1
    pair = data.train_set.dataset.pairs[batch["index"][0]]
    members = (*pair.templates, pair.target)
    for tensor, member in zip((*templates[0], *targets[0]), members, strict=True):
        pixels = torch.from_numpy(np.array(Image.open(member.path)))
        assert torch.equal(tensor, pixels / 127.5 - 1), member
    assert batch["name"][0] == pair.name


@pytest.mark.parametrize("triples", [7, 402])
def test_every_number_of_triples_is_split_by_membrane(tmp_path, triples, make):
    root = tiny_data.write_blots(tmp_path, triples, side=8, membranes=6)
    held_out = []
    for fold in range(5):
        data = make(root, fold=fold)
        sets = (data.train_set.dataset, data.val_set.dataset)
        parts = [{int(t.stem[3:]) % 6 for t in s.pairs} for s in sets]
        assert not parts[0] & parts[1], "a membrane is on both sides"
        held_out += [triple.stem for triple in sets[1].pairs]
    assert sorted(held_out) == [f"bg_{number:04d}" for number in range(triples)]


def test_other_sizes_and_formats(blots, make):
    for path in [*blots.rglob("*.png")]:
        Image.open(path).convert("RGB").resize((24, 20)).save(path.with_suffix(".bmp"))
        path.unlink()
    data = make(blots)
    assert len(data.train_set) + len(data.val_set) == 10
    assert data.train_set[0]["image"].shape == (2, 16, 16)


def test_prediction_needs_templates_alone(blots):
    shutil.rmtree(blots / "wb_dataset")
    (blots / "groups.csv").unlink()
    data = BlotDataModule(predict_dir=str(blots), size=16)
    data.setup("predict")
    item = data.predict_set[9]
    assert item["image"].shape == (2, 16, 16)
    assert item["name"] == "BandMask_bg_0009.png"
    assert not item["target"].any()


def test_augmentation_is_joint_and_of_training_alone(blots, make):
    data = make(blots, batch_size=4, augmentation=RandomCropFlip())
    batch = next(iter(data.train_dataloader()))
    same = {**batch, "target": batch["image"][:, :1]}
    torch.manual_seed(0)
    out = data.on_after_batch_transfer(same, 0)
    assert torch.equal(out["target"], out["image"][:, :1])
    assert not torch.equal(out["image"], batch["image"])
    data.trainer.training, data.trainer.validating = False, True
    assert data.on_after_batch_transfer(batch, 0) is batch


def test_the_held_out_fold_is_named_in_test_and_another_folder_takes_its_place(
    blots, make, caplog, tmp_path
):
    assert len(make(blots, "test").test_set) == 2
    assert "which chose the checkpoint, are not a test set" in caplog.text
    caplog.clear()
    other = tiny_data.write_blots(tmp_path / "other", triples=3)
    data = make(blots, "test", test_dir=str(other))
    assert len(data.test_set) == 3
    assert data.data_source == str(other)
    assert "not a test set" not in caplog.text


def wide(data):
    Image.new("L", (16, 8)).save(buffer := io.BytesIO(), "png")
    return buffer.getvalue()


ONE_MEMBRANE = "\n".join(["ID,membrane", *(f"bg_{n:04d},one" for n in range(10))]).encode()


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "wb_template/BandMask_bg_0003.png",
            None,
            r"wb_template: 1 of \d+ images are .* BandMask_bg_0003\.\*;",
        ),
        ("wb_template2/bg_1.png", wide, "bg_1.png: the name must begin with 'BasePattern_'"),
        ("wb_dataset/bg_0005.png", lambda data: data[:60], r"bg_0005\.png: not a readable image"),
        ("wb_template2/BasePattern_bg_0006.png", wide, r"is 16x8 pixels but .*png is 16x16"),
        ("groups.csv", lambda data: data + b"bg_0002,x", "line 12: bg_0002 is listed twice"),
        (
            "groups.csv",
            lambda data: b"ID,gel\nbg_0000,1\n",
            "has the columns ID, gel; needs ID, membrane",
        ),
        ("groups.csv", lambda data: data.replace(b"bg_0002", b"x"), "no membrane for bg_0002"),
        ("groups.csv", lambda data: ONE_MEMBRANE, "1 membranes do not fill 5 folds"),
    ],
)
def test_bad_folder_is_one_line_that_names_the_file(blots, file, change, message, make):
    path = blots / file
    if change:
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))
    else:
        path.unlink()
    with pytest.raises(DataError, match=message) as error:
        make(blots)
    assert blots.name in str(error.value)
    assert "\n" not in str(error.value)


def test_sample_is_deterministic_in_the_course_layout_and_announced(tmp_path, caplog, ready):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        draw_sample(tmp_path / name, seed=3)
    files = sorted(p.relative_to(tmp_path / "first") for p in (tmp_path / "first").rglob("*.*"))
    assert len(files) == 96 * 3 + 1
    for file in files:
        drawn = [(tmp_path / name / file).read_bytes() for name in ("first", "second")]
        assert drawn[0] == drawn[1], file
    data = ready(BlotDataModule())
    assert "SAMPLE DATA: synthetic" in caplog.text
    assert (data.is_sample, data.data_source) == (True, "sample")
    templates, target = data.train_set[0]["image"], data.train_set[0]["target"]
    assert set(templates.unique().tolist()) == {-1.0, 1.0}
    assert target[templates[:1] < 0].mean() < target[templates[:1] > 0].mean(), "bands are dark"


def write_pairs(root, *folders, side=16, color=False, joined=False):
    rng = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            shape = (side, side * (1 + joined), *((3,) if color else ()))
            image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))
            image.save(root / folder / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("folders", "options", "channels", "tests"),
    [
        (("A", "B"), {}, (1, 1), 0),
        (("A", "A2", "A3", "B"), {}, (3, 1), 0),
        (("trainA", "trainB", "testA", "testB"), {"color": True}, (3, 3), 10),
        (("A/train", "B/train", "A/test", "B/test"), {}, (1, 1), 10),
        (("",), {"joined": True, "color": True}, (3, 3), 0),
        (("train", "test"), {"joined": True}, (1, 1), 10),
        (("train", "val"), {"joined": True}, (1, 1), 0),
        (("trainA", "trainB", "valA", "valB"), {}, (1, 1), 0),
    ],
)
def test_pairs_in_other_layouts(tmp_path, make, folders, options, channels, tests):
    root = write_pairs(tmp_path, *folders, **options)
    data = make(root)
    assert data.pixel_channels == channels
    given = {"val", "valA"} & {*folders}
    assert (len(data.train_set), len(data.val_set)) == ((10, 10) if given else (8, 2))
    assert len(make(root, folds=5).val_set) == 2, "as cross-validation asks"
    item, pair = data.train_set[0], data.train_set.dataset.pairs[0]
    assert (len(item["image"]), len(item["target"])) == channels
    pixels = torch.from_numpy(np.atleast_3d(np.array(Image.open(pair.target.path)))).permute(
        2, 0, 1
    )
    assert torch.equal(item["target"], pixels[..., -16:] / 127.5 - 1)
    assert len(make(root, "test").test_set) == (tests or len(data.val_set))
    assert (data.hparams["channels"], data.hparams["template_count"]) == (
        "rgb" if channels[1] == 3 else "gray",
        channels[0] // channels[1],
    )


def test_prediction_takes_templates_in_any_layout_of_as_many(tmp_path, ready, blots):
    plain = write_pairs(tmp_path / "plain", "")
    joined = write_pairs(tmp_path / "joined", "", joined=True)
    for root, count in ((plain, 1), (joined, 1), (plain / "3.png", 1), (blots, 2)):
        data = BlotDataModule(predict_dir=str(root), size=16, template_count=count)
        assert ready(data, "predict").predict_set[0]["image"].shape == (count, 16, 16)
    data = BlotDataModule(predict_dir=str(blots), size=16, template_count=1)
    with pytest.raises(DataError, match="2 templates an image; the model takes 1"):
        ready(data, "predict")


def test_folders_without_pairs_and_styles_without_gray_say_what_is_meant(tmp_path, make):
    write_pairs(tmp_path, "photos")
    with pytest.raises(DataError, match=r"photos: .*|holds no image"):
        make(tmp_path)
    with pytest.raises(DataError, match=r"16x16 px; template and image side by side .* docs/data"):
        make(tmp_path / "photos")
    with pytest.raises(DataError, match=r"rgb images of 1 template.*configs/blots\.yaml"):
        StyledBlotDataModule(data_dir=str(write_pairs(tmp_path / "c", "A", "B", color=True)))


def test_a_model_is_used_where_its_training_images_are_gone(tmp_path):
    data = BlotDataModule(str(tmp_path / "gone"), template_count=1, channels="gray")
    assert data.pixel_channels == (1, 1)
