"""Copies are those of the network, and a compressor's are made from its integers alone."""

import torch

from lit_models.networks import AutoEncoder, Compressor
from lit_models.prediction.pixels import to_pixels
from lit_models.prediction.retina import decode, native_image, reconstruct


@torch.no_grad()
def test_a_copy_is_the_network_s():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 20, 28) * 2 - 1
    network = AutoEncoder(widths=(4, 8)).eval()
    copy, latent = reconstruct(network, image)
    assert latent is None
    assert torch.equal(copy, network(image))


@torch.no_grad()
def test_the_integers_are_all_that_a_copy_needs():
    torch.manual_seed(0)
    images = [torch.rand(3, 64, 48) * 2 - 1 for _ in range(4)]
    network = Compressor(latent_channels=8, widths=(4, 8, 8)).eval()
    network.fit_linear(images)
    image = images[0][None, :, :50, :41]
    copy, latent = reconstruct(network, image)
    assert latent.dtype == torch.int32
    assert latent.shape == network.latent_shape(50, 41)
    assert latent.unique().numel() > 10
    assert torch.equal(decode(network, latent, (50, 41)), copy)
    torch.testing.assert_close(copy, network(image), atol=1e-5, rtol=0)


def test_pixels_are_of_the_file_s_size_and_range():
    copy = torch.full((1, 3, 4, 6), 1.5)
    copy[:, 0] = -3
    pixels = to_pixels(native_image(copy, [8, 9]))
    assert pixels.shape == (8, 9, 3)
    assert pixels.dtype == torch.uint8
    assert pixels[..., 0].max() == 0
    assert pixels[..., 1].min() == 255
