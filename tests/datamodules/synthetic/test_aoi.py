import csv

import pytest
from PIL import Image

from datamodules.synthetic import aoi as aoi_sample
from datamodules.synthetic.aoi import SIZE, draw_sample


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
