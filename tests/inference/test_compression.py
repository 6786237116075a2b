"""Photographs as AVIF files: what is written, and the vessels that are kept."""

import numpy as np
import pytest
from conftest import read_table
from PIL import Image

from commandline.verbs import main
from common.errors import DataError
from inference import compression, load
from inference.compression import compress, decode, quality_that_keeps, vessels_kept


@pytest.fixture(scope="module")
def vessels():
    return load(compression.VESSELS, device="cpu")


@pytest.fixture(scope="module")
def photograph(vessels):
    """96 px around vessels of a photograph from the built-in sample."""
    with Image.open(vessels.examples(1)[0]) as opened:
        return opened.convert("RGB").resize((96, 96))


def test_files_are_avif_of_the_photograph_s_size_and_better_ones_larger(photograph):
    files = [compress(photograph, quality) for quality in (20, 60, 90)]
    assert all(file[4:12] == b"ftypavif" for file in files)
    errors = [np.abs(np.asarray(decode(f), int) - np.asarray(photograph)).mean() for f in files]
    assert errors == sorted(errors, reverse=True)
    assert len(files[0]) < len(files[1]) < len(files[2])
    assert decode(files[0]).size == photograph.size


def test_length_is_of_center_lines_and_dice_of_masks():
    truth = np.zeros((30, 40), bool)
    truth[10:13, 5:35] = True
    half = truth.copy()
    half[:, 20:] = False
    assert vessels_kept(truth, truth) == (1, 1)
    length, dice = vessels_kept(truth, half)
    assert length == pytest.approx(0.5, abs=0.04)
    assert dice == pytest.approx(2 / 3)
    assert vessels_kept(truth, ~truth)[0] == 0
    assert np.isnan(vessels_kept(np.zeros_like(truth), truth)[0])


class Thresholding:
    """Finds as vessel what is dark in green."""

    def predict(self, image):
        mask = np.asarray(image)[..., 1] < 90
        return type("Result", (), {"mask": mask})


def test_bisection_finds_the_least_quality():
    rng = np.random.default_rng(0)
    pixels = rng.normal(110, 6, (64, 64, 3)).clip(0, 255).astype(np.uint8)
    pixels[20:23], pixels[40, 5:60] = 70, 86
    image, network = Image.fromarray(pixels), Thresholding()
    truth = network.predict(image).mask

    def kept(quality):
        return vessels_kept(truth, network.predict(decode(compress(image, quality))).mask)[0]

    found = quality_that_keeps(0.9, image, network)
    assert 0 < found < 100
    assert kept(found) >= 0.9 > kept(found - 1)
    with pytest.raises(DataError, match=r"^no vessels found, so none to keep; give a quality"):
        quality_that_keeps(0.9, Image.new("RGB", (64, 64), "white"), network)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"quality": 101}, "quality: 101; give 0 to 100"),
        ({"speed": -1}, "speed: -1; give 0 to 10"),
    ],
)
def test_values_out_of_range(options, line, photograph):
    with pytest.raises(DataError, match=line):
        compress(photograph, **options)
    with pytest.raises(DataError, match=r"keep_vessels: 1.2; give more than 0"):
        quality_that_keeps(1.2, photograph)


def test_the_command_writes_files_and_a_table(photograph, tmp_path):
    photograph.save(tmp_path / "eye.png")
    (tmp_path / "damaged.png").write_bytes(b"none")
    folder = tmp_path / "out"
    with pytest.raises(DataError, match="1 photographs were left out"):
        main(["compress", str(tmp_path), f"--output={folder}", "--quality=70"])
    data = (folder / "eye.avif").read_bytes()
    assert data == compress(photograph, 70)
    (row,) = read_table(folder / "compression.csv")
    assert (row["ID"], row["quality"], int(row["bytes"])) == ("eye.png", "70", len(data))
    assert float(row["bits_per_pixel"]) == pytest.approx(8 * len(data) / 96**2, abs=1e-4)
    assert 20 < float(row["psnr"]) < 60
    with pytest.raises(DataError, match="is not empty"):
        main(["compress", str(tmp_path / "eye.png"), f"--output={folder}"])
