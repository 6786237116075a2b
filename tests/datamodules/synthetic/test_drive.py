import numpy as np

from datamodules.synthetic.drive import draw_eye


def test_sample_is_deterministic_and_has_thin_vessels():
    first, again = (draw_eye(np.random.default_rng([0, 21])) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    picture, mask, fov = first
    assert picture.dtype == np.uint8
    assert not mask[~fov].any()
    assert 0.08 < mask[fov].mean() < 0.2
    green = picture[..., 1].astype(float)
    assert green[mask].mean() < green[fov & ~mask].mean() - 10
