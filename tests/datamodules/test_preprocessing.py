"""Inputs by the functions are those that torchvision's transforms make."""

import torch
from torchvision.transforms import v2

from datamodules.preprocessing import (
    MEAN,
    STD,
    normalize_defects,
    photograph_input,
    resize_square,
)


def pixels(channels):
    torch.manual_seed(0)
    return torch.randint(256, (channels, 37, 50), dtype=torch.uint8)


def test_defects():
    resized = resize_square(pixels(1), 24)
    assert torch.equal(resized, v2.Resize((24, 24), antialias=True)(pixels(1)))
    steps = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.RGB(), v2.Normalize(MEAN, STD)])
    assert torch.equal(normalize_defects(resized[None]), steps(resized[None]))


def test_photographs():
    plain = photograph_input(pixels(3), None)
    assert plain.shape == (3, 37, 50)
    torch.testing.assert_close(plain, pixels(3) / 127.5 - 1)
    assert photograph_input(pixels(3), 16).shape == (3, 16, 16)
