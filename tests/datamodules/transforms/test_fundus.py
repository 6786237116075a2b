import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from datamodules.synthetic.drive import draw_eye
from datamodules.transforms import fundus


def test_other_camera_is_brought_to_the_same_scale_and_light():
    picture, _, fov, _ = draw_eye(np.random.default_rng(0))
    small = torch.from_numpy(picture).permute(2, 0, 1)
    far = torch.nn.functional.interpolate(small[None].float(), scale_factor=1.7)[0].byte()
    estimated = fundus.estimate_fov(small)
    drawn = torch.from_numpy(fov)[None]
    assert (estimated & drawn).sum() / (estimated | drawn).sum() > 0.97
    ratio = fundus.fov_diameter(fundus.estimate_fov(far)) / fundus.fov_diameter(estimated)
    assert ratio == pytest.approx(1.7, rel=0.02)
    dim = (small.float() * 0.6).byte()  # exposure goes out with the light
    even, even_dim = (fundus.local_normalization(x, drawn, 10.0) for x in (small, dim))
    assert (even - even_dim).abs().mean() < 0.06
    assert not even[:, ~drawn[0]].any()
    assert fundus.resize_to_diameter(fundus.fov_diameter(drawn) * 1.04, drawn) == list(fov.shape)
    assert fundus.resize_to_diameter(fundus.fov_diameter(drawn) / 2, drawn) == [146, 141]


@pytest.mark.parametrize("radius", [0, 3, 9, 60])
def test_fov_of_a_speck_is_the_whole_picture(radius):
    y, x = np.mgrid[:150, :100]
    disc = (y - 75) ** 2 + (x - 50) ** 2 <= radius**2
    image = torch.from_numpy(disc * np.uint8(200))[None]
    fov = fundus.estimate_fov(image)
    assert fov.all() == (radius < 18)
    assert max(fundus.resize_to_diameter(540, fov)) <= 4 * 540


def test_a_wide_gaussian_costs_no_more_than_the_picture():
    image, fov = torch.rand(3, 20, 30), torch.ones(1, 20, 30, dtype=torch.bool)
    wide = fundus.local_normalization(image, fov, 1e4)
    mean = image.mean(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(wide.mean(dim=(1, 2)), torch.zeros(3), atol=1e-5, rtol=0)
    scaled = (image - mean) / image.std(dim=(1, 2), keepdim=True, correction=0)
    assert (wide - scaled).abs().max() < 0.3


def test_sharpness_falls_with_blur():
    image, inside = torch.randn(3, 80, 80), torch.ones(1, 80, 80, dtype=torch.bool)
    soft = v2.functional.gaussian_blur(image, [9, 9], [2.0, 2.0])
    assert fundus.sharpness(soft / soft.std(), inside) < fundus.sharpness(image, inside) / 3
