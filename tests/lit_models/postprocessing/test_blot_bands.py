"""What is said of a band is what an analyst would measure."""

import numpy as np
import pytest
from conftest import read_table
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.restoration import rolling_ball

from lit_models.postprocessing.blot_bands import band_regions, measure_bands


@pytest.mark.parametrize("blur", [0.3, 2.0])
def test_bands_of_known_density_on_a_slope(blur):
    bands = np.zeros((64, 64), bool)
    bands[10:20, 8:28] = bands[40:52, 30:60] = True
    rows, columns = np.mgrid[:64, :64]
    paper = 200 + 0.2 * columns - 0.1 * rows
    strength = np.where(rows < 30, 100, 50) * bands
    clean = paper - gaussian_filter(strength.astype(float), blur)
    first, second = measure_bands(clean, band_regions(bands, blur))
    for band, density in ((first, 100 * 200), (second, 50 * 360)):
        assert band.density == pytest.approx(density, rel=0.05)
    reach = int(2 * blur)
    box = [8 - reach, 10 - reach, 28 + reach, 20 + reach]
    assert [first.left, first.top, first.right, first.bottom] == box
    assert first.area == (band_regions(bands, blur) == 1).sum()


def test_a_blot_without_paper_has_bands_too():
    regions = band_regions(np.ones((16, 16), bool), 1.0)
    (band,) = measure_bands(np.full((16, 16), 90.0), regions)
    assert (band.area, round(band.density)) == (256, 0)


def test_a_rolling_ball_comes_near_the_known_density(trained, predict):
    run = predict(trained("blots_style"), "--data.samples=2")
    rows = read_table(run / "bands.csv")
    assert len({row["image"] for row in rows}) == 48
    errors = []
    for row in rows:
        gray = 255.0 - np.array(Image.open(run / row["image"]))
        region = np.array(Image.open(run / row["mask"])) == int(row["number"])
        assert region.sum() == int(row["area"])
        measured = (gray - rolling_ball(gray, radius=25))[region].sum()
        errors.append(measured / float(row["density"]) - 1)
    assert abs(np.median(errors)) < 0.05
    assert np.median(np.abs(errors)) < 0.1
    text = Image.open(run / rows[0]["image"]).text
    assert text["Comment"].startswith("synthetic")
    assert "StyledBlotGAN" in text["Source"]
    assert int(text["Seed"]) >= 0
