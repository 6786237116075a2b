"""A style is measured as it was drawn, and drawn as it was measured."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.errors import DataError
from datamodules.blot_draws import draw_styles
from datamodules.blot_style import NAMES, BlotStyle, measure_style, otsu


def bands(side=64):
    mask = np.zeros((side, side), bool)
    mask[14:26, 8:28] = mask[38:50, 30:56] = True
    return mask


def drawn(paper=200.0, band=50.0, right=0.0, down=0.0, blur=0.3, noise=0.0, seed=0):
    mask = bands()
    y, x = np.mgrid[-32:32, -32:32] / 64
    soft = gaussian_filter(mask.astype(float), blur)
    sheet = paper + right * x + down * y
    grain = noise * np.random.default_rng(seed).standard_normal(mask.shape)
    return (sheet + (band - sheet) * soft + grain).round().clip(0, 255).astype(np.uint8)


def measured(pixels, mask=None):
    return dict(zip(NAMES, measure_style(pixels, bands() if mask is None else mask), strict=True))


@pytest.mark.parametrize(("paper", "band"), [(200, 50), (240, 10), (120, 90)])
def test_gray_of_paper_and_bands(paper, band):
    style = measured(drawn(paper, band))
    assert style["paper"] == pytest.approx(paper, abs=1)
    assert style["band"] == pytest.approx(band, abs=1)


def test_gradient():
    style = measured(drawn(right=20, down=-12))
    # Shrunk toward 0, for a little paper tells nothing of it.
    assert style["gradient_x"] == pytest.approx(20, rel=0.25)
    assert style["gradient_y"] == pytest.approx(-12, rel=0.25)
    mirrored = measured(drawn(right=20, down=-12)[:, ::-1], bands()[:, ::-1])
    assert mirrored["gradient_x"] == pytest.approx(-style["gradient_x"], abs=0.5)


@pytest.mark.parametrize("sigma", [0.5, 1.4, 2.8])
def test_blur(sigma):
    assert measured(drawn(blur=sigma))["blur"] == pytest.approx(sigma)


def test_grain_by_its_scale():
    white = measured(drawn(noise=4))
    # Of white noise a Gaussian of 1 px leaves 1 - 2 / (2 pi) + 1 / (4 pi) of the variance as fine.
    assert white["noise"] == pytest.approx(4 * (1 - 1 / np.pi + 1 / (4 * np.pi)) ** 0.5, rel=0.1)
    assert white["detail"] == pytest.approx(8, rel=0.15), "a difference of four is twice as strong"
    assert white["grain"] < white["noise"] / 2
    smooth = measured(drawn(noise=0))
    assert smooth["noise"] < 0.5


def test_bands_are_found_without_a_template():
    pixels = drawn(noise=3)
    found = otsu(pixels)
    assert (found == bands()).mean() > 0.99
    own, given = measure_style(pixels), measure_style(pixels, bands())
    np.testing.assert_allclose(own[:2], given[:2], atol=1)


@pytest.mark.parametrize("shape", [(64, 64), (100, 40), (16, 16)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_blot_has_a_style(shape, value):
    pixels = np.full(shape, value, np.uint8)
    for mask in (None, np.zeros(shape, bool), np.ones(shape, bool)):
        assert np.isfinite(measure_style(pixels, mask)).all()


def test_draws_keep_a_membranes_numbers_together_and_take_each_membrane_in_turn():
    membranes = np.repeat([3, 5, 9], [1, 4, 7])
    styles = np.arange(12)[:, None] + 100 * np.arange(8.0)
    styles[:, 0] = membranes
    drawn_styles = draw_styles(styles, membranes, 6, seed=[0])
    for style in drawn_styles:
        assert any((style == row).all() for row in styles)
    assert sorted(drawn_styles[:3, 0]) == sorted(drawn_styles[3:, 0]) == [3, 5, 9]
    assert (draw_styles(styles, membranes, 2, [0]) == drawn_styles[:2]).all(), "a beginning"
    assert (draw_styles(styles, membranes, 6, [1]) != drawn_styles).any()


def test_what_is_set_overrules_the_example():
    example = np.arange(8.0)
    vector = BlotStyle(paper=210, blur=2).vector(example)
    assert vector.tolist() == [210, 1, 2, 3, 2, 5, 6, 7]
    assert np.isnan(BlotStyle(band=40).vector()).tolist() == [True, False, *[True] * 6]


def test_numbers_out_of_range_are_refused():
    with pytest.raises(DataError, match=r"data\.style\.paper: 300; give 0 to 255"):
        BlotStyle(paper=300)
    with pytest.raises(DataError, match=r"blur: 0; give 0\.3 to 8"):
        BlotStyle(blur=0)
