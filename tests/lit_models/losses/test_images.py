import pytest
import torch
import torch.nn.functional as F

from lit_models.losses import MSESSIMLoss


def test_equal_images_cost_nothing_and_each_term_has_its_weight():
    image = torch.rand(2, 1, 16, 16) * 2 - 1
    assert MSESSIMLoss()(image, image) == pytest.approx(0, abs=1e-4)
    other = torch.rand(2, 1, 16, 16) * 2 - 1
    mse = F.mse_loss(image, other)
    assert MSESSIMLoss(3.0, 0.0)(image, other) == pytest.approx(float(3 * mse), rel=1e-5)
    ssim = MSESSIMLoss(0.0, 1.0)(image, other)
    assert MSESSIMLoss(3.0, 2.0)(image, other) == pytest.approx(float(3 * mse + 2 * ssim), rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert MSESSIMLoss(0.0, 1.0)(image, other) == ssim
