"""Reconstruction: ranges, means, padding."""

import pytest
import torch
from conftest import adam
from torch import nn

from lit_models import ImageReconstructor
from lit_models.networks import AutoEncoder


def reconstructor(network=None):
    return ImageReconstructor(network or AutoEncoder(widths=(4, 8)), nn.MSELoss(), adam)


def batch(image, height, width):
    sizes = torch.tensor([[height, width]])
    return {
        "image": image[None],
        "target": image[None],
        "input_size": sizes,
        "native_size": sizes,
        "name": ["a.png"],
        "index": torch.tensor([0]),
    }


class Constant(nn.Module):
    """A network whose reconstruction is a given image."""

    def __init__(self, image):
        super().__init__()
        self.image = image

    def forward(self, images):
        return self.image.expand_as(images)


def scores(metrics):
    found = {name: float(value) for name, value in metrics.compute().items()}
    metrics.reset()
    return found


def test_loss_is_in_the_signed_range_and_psnr_in_the_unit_range():
    """An error of 0.2 everywhere in [-1, 1] is 0.1 in [0, 1]: MSE 0.04, PSNR 20 dB."""
    module = reconstructor(Constant(torch.tensor(0.2)))
    module.validation_step(batch(torch.zeros(3, 32, 32), 32, 32))
    found = scores(module.val_scores)
    assert found["loss"] == pytest.approx(0.04)
    assert found["psnr"] == pytest.approx(20.0, abs=1e-4)


def test_scores_do_not_lose_digits_under_autocast():
    ramp = torch.linspace(-1, 1, 64).expand(3, 64, 64)
    module = reconstructor(Constant(ramp + 0.01 * torch.randn(3, 64, 64)))
    module.validation_step(batch(ramp, 64, 64))
    exact = scores(module.val_scores)
    with torch.autocast("cpu", torch.bfloat16):
        module.validation_step(batch(ramp, 64, 64))
    assert scores(module.val_scores) == pytest.approx(exact, abs=1e-4)


def test_psnr_is_the_mean_over_images():
    """10 dB and 40 dB have the mean 25 dB; their pooled error would give 13 dB."""
    module = reconstructor(Constant(torch.tensor(0.0)))
    for unit_error in (10**-0.5, 10**-2.0):
        module.validation_step(batch(torch.full((3, 32, 32), 2 * unit_error), 32, 32))
    assert scores(module.val_scores)["psnr"] == pytest.approx(25.0, abs=1e-3)


def test_padding_counts_for_nothing():
    image = torch.zeros(3, 64, 64)
    image[:, 40:], image[..., 50:] = 1.0, 1.0
    module = reconstructor(Constant(torch.tensor(0.2)))
    copies = module.test_step(batch(image, 40, 50))["reconstruction"]
    assert [copy.shape for copy in copies] == [(3, 40, 50)]
    found = scores(module.test_scores)
    assert found["loss"] == pytest.approx(0.04)
    assert found["psnr"] == pytest.approx(20.0, abs=1e-4)
    result = module.predict_step(batch(image, 40, 50))
    assert result["image"][0].shape == (3, 40, 50)
    assert result["psnr"] == pytest.approx([20.0], abs=1e-4)
