"""Inputs by the functions are those that torchvision's transforms make."""

import torch

from datamodules.preprocessing import (
    photograph_input,
)


def pixels(channels):
    torch.manual_seed(0)
    return torch.randint(256, (channels, 37, 50), dtype=torch.uint8)


def test_photographs():
    plain = photograph_input(pixels(3), None)
    assert plain.shape == (3, 37, 50)
    torch.testing.assert_close(plain, pixels(3) / 127.5 - 1)
    assert photograph_input(pixels(3), 16).shape == (3, 16, 16)
