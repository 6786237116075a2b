import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.transforms import v2

from datamodules.fundus_input import FundusInput, local_normalization, sharpness
from datamodules.synthetic.drive import draw_eye
from datamodules.transforms.field_of_view import (
    estimate_fov,
    fov_diameter,
    more_inputs,
    network_size,
)


def test_other_camera_is_brought_to_the_same_scale_and_light():
    picture, _, fov = draw_eye(np.random.default_rng(0))
    small = torch.from_numpy(picture).permute(2, 0, 1)
    far = torch.nn.functional.interpolate(small[None].float(), scale_factor=1.7)[0].byte()
    estimated = estimate_fov(picture)
    drawn = torch.from_numpy(fov)[None]
    assert (estimated & fov).sum() / (estimated | fov).sum() > 0.97
    ratio = fov_diameter(estimate_fov(far.permute(1, 2, 0).numpy())) / fov_diameter(estimated)
    assert ratio == pytest.approx(1.7, rel=0.02)
    dim = (small.float() * 0.6).byte()  # exposure goes out with the light
    even, even_dim = (local_normalization(x, drawn, 10.0) for x in (small, dim))
    assert (even - even_dim).abs().mean() < 0.06
    assert not even[:, ~drawn[0]].any()
    assert network_size(fov, None, fov_diameter(fov) * 1.04) == list(fov.shape)
    assert network_size(fov, None, fov_diameter(fov) / 2) == [146, 141]


@pytest.mark.parametrize("radius", [0, 3, 9, 60])
def test_fov_of_a_speck_is_the_whole_picture(radius):
    y, x = np.mgrid[:150, :100]
    disc = (y - 75) ** 2 + (x - 50) ** 2 <= radius**2
    fov = estimate_fov(disc * np.uint8(200))
    assert fov.all() == (radius < 18)
    assert max(network_size(fov, None, 540)) <= 4 * 540


def test_fov_is_the_largest_region_without_holes():
    y, x = np.mgrid[:150, :200]
    disc = (y - 75) ** 2 + (x - 75) ** 2 <= 60**2
    pixels = disc * np.uint8(200)
    pixels[60:80, 60:80] = 0
    pixels[20:60, 150:190] = 200
    assert np.array_equal(estimate_fov(pixels), ndimage.binary_opening(disc, iterations=2))


@pytest.mark.parametrize("side", [31, 96, 104, 292])
def test_has_the_size_that_the_network_sees(side):
    y, x = np.mgrid[:292, :282]
    pixels = ((y - 146) ** 2 + (x - 141) ** 2 < 130**2).astype(np.uint8)[..., None] * np.uint8(200)
    pixels = pixels.repeat(3, axis=2)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for size, diameter in ((side, None), (None, float(side)), (None, None)):
        expected = FundusInput("rgb", size, diameter).prepare(tensor)["fov"][0].numpy()
        found = more_inputs(pixels, {"size": size, "diameter": diameter})["fov"]
        assert np.array_equal(found, expected)


def test_sharpness_falls_with_blur():
    image, inside = torch.randn(3, 80, 80), torch.ones(1, 80, 80, dtype=torch.bool)
    soft = v2.functional.gaussian_blur(image, [9, 9], [2.0, 2.0])
    assert sharpness(soft / soft.std(), inside) < sharpness(image, inside) / 3
