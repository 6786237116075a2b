import csv

import numpy as np
import pytest
from PIL import Image

from datamodules.synthetic import aoi as aoi_sample
from datamodules.synthetic.aoi import SIZE, draw_panel, draw_sample


@pytest.fixture
def few(monkeypatch):
    counts = {"train": (2, 1, 1, 1, 1, 2), "test": (1, 1, 1, 1, 1, 1)}
    monkeypatch.setattr(aoi_sample, "COUNTS", counts)


def test_sample_has_the_aidea_layout(few, tmp_path):
    draw_sample(tmp_path, seed=0)
    for split, count in (("train", 8), ("test", 6)):
        with (tmp_path / f"{split}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["ID", "Label"]
        images = sorted(path.name for path in (tmp_path / f"{split}_images").iterdir())
        assert images == [row["ID"] for row in rows]
        assert len(images) == count
        labels = "".join(sorted(row["Label"] for row in rows))
        assert labels == ("00123455" if split == "train" else "012345")
        with Image.open(tmp_path / f"{split}_images" / images[0]) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (SIZE, SIZE))


def test_same_seed_same_bytes(few, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_sample(tmp_path / name, seed)
    files = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    assert len(files) == 2 + 14
    assert all(
        (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files
    )
    image = "train_images/train_00000.png"
    assert (tmp_path / "a" / image).read_bytes() != (tmp_path / "c" / image).read_bytes()


def test_linear_classifier_on_raw_pixels_fails():
    """Ridge regression to one-hot labels, solved in closed form, on 16x16 block means."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(6), 60))
    panels = np.stack([draw_panel(int(label), rng) for label in labels]).astype(np.float64)
    x = panels.reshape(len(panels), 16, 16, 16, 16).mean(axis=(2, 4)).reshape(len(panels), -1)
    train, held_out = slice(0, 240), slice(240, None)
    x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    kernel = x[train] @ x[train].T
    targets = np.eye(6)[labels]
    for penalty in (1e2, 1e3, 1e4):
        dual = np.linalg.solve(kernel + penalty * np.eye(len(kernel)), targets[train] - 1 / 6)
        predicted = (x[held_out] @ x[train].T @ dual).argmax(axis=1)
        assert (predicted == labels[held_out]).mean() < 0.55
