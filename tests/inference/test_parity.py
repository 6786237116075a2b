"""`load().predict` gives what ``cli.py predict`` writes, bit for bit."""

import csv
from pathlib import Path

import numpy as np
import pytest
from conftest import CONFIGS
from PIL import Image

from inference import load


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def same_defects(results, written):
    rows = {row["ID"]: row for row in table(written / "probabilities.csv")}
    labels = {row["ID"]: row["Label"] for row in table(written / "predictions.csv")}
    assert len(results) == len(rows)
    for result in results:
        names = list(result.probabilities)
        assert names.index(result.label) == int(labels[result.name])
        for name, value in result.probabilities.items():
            assert rows[result.name][name] == f"{value:.6f}"


def same_vessels(results, written):
    for result in results:
        stem = Path(result.name).stem
        mask = pixels(written / f"{stem}_mask.png")
        assert np.array_equal(mask, result.mask * np.uint8(255))
        for kind in ("probability", "uncertainty"):
            values = getattr(result, kind)
            path = written / f"{stem}_{kind}.png"
            assert path.exists() == (values is not None)
            if values is not None:
                assert np.array_equal(pixels(path), np.rint(values * 65535).astype(np.uint16))


def same_copies(results, written):
    rows = {row["ID"]: row for row in table(written / "predictions.csv")}
    for result in results:
        written_pixels = pixels(written / f"{Path(result.name).stem}.png")
        assert np.array_equal(written_pixels, np.array(result.reconstruction))
        assert rows[result.name]["psnr"] == f"{result.psnr:.4f}"
        assert rows[result.name]["ssim"] == f"{result.ssim:.5f}"


def same_blots(results, written):
    for result in results:
        path = written / f"{Path(result.name).stem}.png"
        assert np.array_equal(pixels(path), np.array(result.image))


SAME = {"aoi": same_defects, "vessels": same_vessels, "retina": same_copies, "blots": same_blots}


@pytest.fixture
def images(few):
    """A folder of what the task of a config takes, from the built-in sample."""

    def folder(task):
        from datamodules.synthetic import aoi, blots, drive
        from datamodules.synthetic.cache import cached_sample

        drawn = cached_sample({"aoi": aoi, "blots": blots}.get(task, drive).draw_sample, 0)
        if task == "blots":
            return drawn
        return few(drawn / ("test_images" if task == "aoi" else "test/images"), small=task == "aoi")

    return folder


@pytest.mark.parametrize("config", CONFIGS)
def test_predict_is_that_of_the_command_line(config, trained, predict, images):
    run, task = trained(config), config.partition("_")[0]
    given = images(task)
    written = predict(run, f"--data.predict_dir={given}")
    model = load(run / "checkpoints" / "last.ckpt", device="cpu")
    results = list(model.predict(given))
    assert len(results) == len(table(written / "predictions.csv"))
    SAME[task](results, written)
