"""The encoder-decoder: the reference's sizes, any image size, what skips and their absence mean."""

import pytest
import torch
from torch import nn

from common.errors import DataError
from lit_models.networks import ResidualUNet
from lit_models.networks.unet import AutoEncoder, UNet, UpConv


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_reference_sizes() -> None:
    with torch.device("meta"):
        assert parameters(UNet()) == 31_036_993
        assert parameters(AutoEncoder()) == 7_701_827
        assert parameters(UNet(widths=(16, 32, 64, 128))) == 482_577
        assert parameters(ResidualUNet()) == 255_857
    assert ResidualUNet()(torch.randn(1, 3, 37, 50)).shape == (1, 1, 37, 50)


def test_layers_are_the_reference_ones() -> None:
    net = UNet(widths=(4, 8, 16))
    assert [type(layer) for layer in net.down[0]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU] * 2
    assert all(isinstance(up, nn.ConvTranspose2d) and up.kernel_size == (2, 2) for up in net.up)
    assert (net.out.in_channels, net.out.out_channels, net.out.kernel_size) == (4, 1, (3, 3))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16), (33, 50)])
@pytest.mark.parametrize("skips", [True, False])
def test_any_image_size(size: tuple[int, int], skips: bool) -> None:
    net = AutoEncoder(widths=(2, 4, 4), skips=skips)
    assert net(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_with_skips_every_level_is_read() -> None:
    net = UNet(widths=(4, 8, 8))
    net(torch.rand(1, 1, 16, 16)).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_no_levels_are_refused() -> None:
    with pytest.raises(DataError, match="widths"):
        UNet(widths=())


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_up_convolution_is_a_transposed_convolution(layout):
    ours = UpConv(6, 5).to(memory_format=layout)
    plain = nn.ConvTranspose2d(6, 5, 2, stride=2)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 3, 4).contiguous(memory_format=layout).requires_grad_()
    results = []
    for module in (ours, plain):
        y = module(x)
        weights = torch.arange(y.numel()).view_as(y) / y.numel()
        gradients = torch.autograd.grad((weights * y).sum(), [x, module.weight, module.bias])
        results.append((y, *gradients))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
    assert results[0][0].is_contiguous(memory_format=layout)
