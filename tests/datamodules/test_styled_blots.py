"""Batches with the style that was measured or is asked for."""

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from datamodules import StyledBlotDataModule
from datamodules.blot_style import BlotStyle, measure_style
from datamodules.blots import measured_style
from datamodules.transforms import RandomCropFlip


@pytest.fixture
def make(ready):
    def build(root, stage="fit", **options):
        where = "predict_dir" if stage == "predict" else "data_dir"
        data = StyledBlotDataModule(**{where: str(root), "size": 16, **options})
        return ready(data, stage)

    return build


def test_style_is_measured_on_the_target_and_membranes_are_told_apart(blots, make):
    data = make(blots, batch_size=8)
    batch = next(iter(data.train_dataloader()))
    pairs = data.train_set.dataset.pairs
    for index, style, membrane in zip(
        batch["index"], batch["style"], batch["membrane"], strict=True
    ):
        pair = pairs[index]
        files = (pair.target.path, pair.templates[0].path)
        target, template = (np.array(Image.open(path)) for path in files)
        np.testing.assert_allclose(style, measure_style(target, template < 128), rtol=1e-5)
        assert int(membrane) == int(pair.stem[3:]) % 5


def test_an_augmented_target_is_measured_again(blots, make):
    data = make(blots, batch_size=8, augmentation=RandomCropFlip())
    batch = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    out = data.on_after_batch_transfer(batch, 0)
    assert not torch.equal(out["style"], batch["style"])
    for image, target, style in zip(out["image"], out["target"], out["style"], strict=True):
        assert torch.equal(style, measured_style({"image": image, "target": target}))


def test_prediction_repeats_pairs_of_their_own_size(blots, make):
    for folder in ("wb_template", "wb_template2"):
        path = next(iter(sorted((blots / folder).iterdir())))
        Image.open(path).resize((50, 30)).save(path)
    data = make(blots, "predict", style=BlotStyle(paper=210), samples=3)
    batches = [data.on_after_batch_transfer(b, 0) for b in data.predict_dataloader()]
    assert [tuple(b["image"].shape) for b in batches[2:4]] == [(1, 2, 30, 50), (1, 2, 16, 16)]
    assert torch.cat([b["index"] for b in batches]).tolist() == list(range(30))
    assert [int(b["sample"]) for b in batches[:4]] == [1, 2, 3, 1]
    assert batches[3]["name"] == ["BandMask_bg_0001.png"]
    assert (batches[0]["style"][:, 0] == 210).all()
    assert batches[0]["style"][:, 1:].isnan().all()


def test_style_of_an_example(blots, make, tmp_path):
    path = tmp_path / "other.png"
    pixels = np.full((40, 60), 220, np.uint8)
    pixels[10:30, 10:30] = 30
    Image.fromarray(pixels).save(path)
    data = make(blots, "predict", style_from=str(path), style=BlotStyle(blur=3))
    batch = data.on_after_batch_transfer(next(iter(data.predict_dataloader())), 0)
    assert batch["style"][0, [0, 1, 4]].tolist() == [220, 30, 3]
    assert batch["sample"].tolist() == [0]
    with pytest.raises(DataError, match=r"gone\.png: no such file"):
        make(blots, "predict", style_from=str(tmp_path / "gone.png"))
