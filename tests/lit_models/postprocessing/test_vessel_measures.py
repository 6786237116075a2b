"""Measures of vessels whose length, width and branching are known."""

import numpy as np
import pytest

from lit_models.postprocessing.vessel_measures import REGIONS, measure_vessels

Y, X = np.mgrid[:600, :600]
DISC = (Y - 300) ** 2 + (X - 300) ** 2 <= 300**2


def drawn(*lines):
    vessels = np.zeros((600, 600), bool)
    for region in lines:
        vessels[region] = True
    return vessels


CROSS = drawn(np.s_[298:303, 20:580], np.s_[20:580, 298:303], np.s_[445:456, 200:400])


def test_lines_and_their_crossings():
    measured = measure_vessels(CROSS, DISC)
    whole = measured.regions["whole"]
    assert measured.quality == ()
    assert whole.density == pytest.approx(CROSS[DISC].mean(), rel=1e-6)
    assert whole.length == pytest.approx((560 + 560 + 200) / 600, rel=0.03)
    assert whole.mean_width == pytest.approx(6 / 600, rel=0.1)
    assert (whole.branch_points, whole.end_points) == (2, 6)
    assert whole.tortuosity == pytest.approx(1, abs=0.01)
    assert whole.fractal_dimension == pytest.approx(1, abs=0.1)
    quarters = [measured.regions[name] for name in REGIONS[1:]]
    assert sum(q.length for q in quarters) == pytest.approx(whole.length)
    assert quarters[2].length > 1.2 * quarters[0].length


def test_an_arc_is_longer_than_its_chord():
    half_ring = (abs(np.hypot(Y - 300, X - 300) - 200) < 4) & (Y < 300)
    whole = measure_vessels(half_ring | drawn(np.s_[400:408, 150:450]), DISC).regions["whole"]
    ratio = 2 * (whole.tortuosity - 0.5)  # the median of two, of which a straight one has 1
    assert ratio == pytest.approx(np.pi / 2, rel=0.08)  # a way over pixels is up to 8 % longer


def test_every_pixel_of_a_plane_makes_two_dimensions():
    lattice = (Y % 6 == 0) | (X % 6 == 0)
    dense = measure_vessels(lattice * (DISC * 1.0), DISC).regions["whole"]
    assert np.isnan(dense.fractal_dimension), "more vessel than an eye has"
    lattice = ((Y % 12 == 0) | (X % 12 == 0)) & DISC
    assert measure_vessels(lattice, DISC).regions["whole"].fractal_dimension > 1.6


def test_the_center_line_of_a_faint_branch_counts_and_a_faint_island_does_not():
    p = drawn(np.s_[295:310, 20:580]) * 0.9
    p[310:510, 299:302] = 0.2
    p[100:103, 200:400] = 0.2
    without, with_line = (measure_vessels(p, DISC, 0.4, c) for c in (None, (0.16, 0.7)))
    grown = with_line.regions["whole"].length - without.regions["whole"].length
    assert grown == pytest.approx(200 / 600, rel=0.1)
    assert with_line.traced.sum() - without.traced.sum() < 1.2 * 200


@pytest.mark.parametrize(
    ("probability", "fov", "flags", "measured"),
    [
        (0.0 * Y, DISC, ("few_vessels",), False),
        (0.5 * CROSS, DISC, ("low_confidence",), True),
        (CROSS, DISC & (Y > 250), ("cut_fov",), True),
        (CROSS, np.ones_like(DISC), ("no_fov",), True),
        (1.0 * (Y[::3, ::3] % 60 < 9), DISC[::3, ::3], ("small_fov",), False),
        (1.0 * DISC, DISC, ("many_vessels",), False),
    ],
)
def test_what_cannot_be_trusted_is_said(probability, fov, flags, measured):
    found = measure_vessels(probability, fov, 0.4)
    assert found.quality == flags
    assert all(np.isfinite(one.density) == measured for one in found.regions.values())
