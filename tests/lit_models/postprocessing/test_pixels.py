"""Copies are those of the network, at the size of the file."""

import torch

from lit_models.postprocessing.pixels import native_images, to_uint8_image


def test_pixels_are_of_the_file_s_size_and_range():
    copy = torch.full((1, 3, 4, 6), 1.5)
    copy[:, 0] = -3
    pixels = to_uint8_image(native_images(copy, [8, 9])[0])
    assert pixels.shape == (8, 9, 3)
    assert pixels.dtype == torch.uint8
    assert pixels[..., 0].max() == 0
    assert pixels[..., 1].min() == 255
