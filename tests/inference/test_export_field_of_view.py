import numpy as np
import pytest
import torch
from scipy import ndimage

from datamodules.fundus_input import FundusInput
from datamodules.transforms import fundus
from inference.field_of_view import estimate_fov, network_fov


@pytest.mark.parametrize("seed", range(20))
def test_is_that_of_the_data_modules(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 130, 2)
    smooth = ndimage.gaussian_filter(rng.random((height, width)), rng.choice([1, 2, 4]))
    pixels = (255 * (smooth - smooth.min()) / (np.ptp(smooth) + 1e-9)).astype(np.uint8)
    if seed % 4 == 0:
        pixels = (pixels > 140).astype(np.uint8) * 200  # many regions, and holes
    if seed % 3 == 0:
        pixels = np.stack([pixels, pixels // 2, pixels // 3], 2)
    tensor = torch.from_numpy(pixels.reshape(height, width, -1)).permute(2, 0, 1)
    assert np.array_equal(estimate_fov(pixels), fundus.estimate_fov(tensor)[0].numpy())


@pytest.mark.parametrize("side", [31, 96, 104, 292])
def test_has_the_size_that_the_network_sees(side):
    y, x = np.mgrid[:292, :282]
    pixels = ((y - 146) ** 2 + (x - 141) ** 2 < 130**2).astype(np.uint8)[..., None] * np.uint8(200)
    pixels = pixels.repeat(3, axis=2)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for size, diameter in ((side, None), (None, float(side)), (None, None)):
        expected = FundusInput("rgb", size, diameter).prepare(tensor)["fov"][0].numpy()
        assert np.array_equal(network_fov(pixels, size, diameter), expected)
