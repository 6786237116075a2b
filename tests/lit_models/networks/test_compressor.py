"""The compressor: a closed-form start, integers, the bits they cost."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from common.errors import DataError
from lit_models.networks.compressor import Compressor
from lit_models.networks.context_prior import ContextPrior, laplace_bits


def compressor(**changes):
    arguments = {"in_channels": 3, "latent_channels": 4, "widths": (4, 8), "patch": 2, **changes}
    return Compressor(**arguments)


def smooth_images(count=3, size=32):
    """Images in [-1, 1] that a few block coefficients describe well."""
    grid = torch.linspace(-1, 1, size)
    phases = torch.arange(1.0, count + 1)
    waves = [torch.sin(p * grid)[:, None] * torch.cos(grid / p)[None] for p in phases]
    return [torch.stack([wave, wave * 0.5, -wave]) * 0.8 for wave in waves]


def blocks_of(images, side):
    """Every ``side x side`` block of ``(N, C, H, W)`` as a row."""
    rows_ = images.unfold(2, side, side).unfold(3, side, side)
    return rows_.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).double()


def pca_copies(images, side, count):
    blocks = blocks_of(images, side)
    mean = blocks.mean(0)
    basis = torch.linalg.svd(blocks - mean, full_matrices=False)[2][:count]
    return (blocks - mean) @ basis.T @ basis + mean


@torch.no_grad()
def test_before_training_a_compressor_is_at_least_the_pca_of_its_blocks():
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images = torch.nn.functional.avg_pool2d(images, 7, 1, 3) * 4
    net = compressor(latent_channels=6)
    net.fit_linear(images)
    blocks = blocks_of(images, net.side)
    pca = (pca_copies(images, net.side, 6) - blocks).square().mean()
    fitted = (blocks_of(net(images), net.side) - blocks).square().mean()
    assert fitted < 0.95 * pca


@torch.no_grad()
def test_a_compressor_finds_what_few_values_describe_exactly():
    """Four block patterns and any mixture of them need four values."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(4, 3, 4, 4, generator=generator) - 0.5
    amounts = torch.rand(6, 8, 8, 4, generator=generator) - 0.5
    images = torch.einsum("nijk,kcyx->nciyjx", amounts, patterns).reshape(6, 3, 32, 32)
    net = compressor()
    net.fit_linear(images, ridge=1e-3)
    assert (net(images) - images).abs().max() < 0.02


def test_the_dead_zone_draws_towards_zero():
    net = compressor(dead_zone=0.2)
    values = torch.tensor([-300.0, -1.8, -0.6, 0.1, 0.6, 0.8, 1.6, 300.0])
    assert net.quantize(values).tolist() == [-128, -2, 0, 0, 0, 1, 1, 127]


def test_a_compressors_output_is_a_function_of_its_integers():
    net = compressor(step=0.05)
    net.fit_linear(smooth_images())
    images = torch.stack(smooth_images())
    integers = net.quantize(net.encode(images))
    assert torch.equal(integers, integers.round())
    assert integers.min() >= -128
    assert integers.max() <= 127
    assert integers.shape[1:] == net.latent_shape(32, 32)
    # The same through the bytes that a file would hold.
    again = torch.from_numpy(integers.detach().numpy().astype(np.int8)).float()
    torch.testing.assert_close(net.decode(again), net(images))


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (7, 9)])
def test_a_compressor_takes_any_size(size):
    net = compressor()
    assert net(torch.zeros(2, 3, *size)).shape == (2, 3, *size)


def test_rounding_lets_the_gradient_through():
    net = compressor(step=0.5)
    net.fit_linear(smooth_images())
    copies, bits = net.reconstruct(torch.stack(smooth_images()))
    (copies.square().mean() + bits).backward()
    for part in (net.analysis, net.to_latent, net.synthesis, net.prior.head):
        assert part.weight.grad is not None
        assert part.weight.grad.abs().sum() > 0


def test_the_prior_sees_only_what_was_decoded_before():
    torch.manual_seed(0)
    prior = ContextPrior(2, hidden=8)
    nn.init.normal_(prior.head.weight)
    latent = torch.randn(1, 2, 5, 6)
    changed = latent.clone()
    changed[..., 2, 3] += 1.0
    before, after = (prior(x, torch.ones(2, 1, 1))[0] for x in (latent, changed))
    moved = (before != after).any(dim=1)[0].nonzero().tolist()
    assert moved
    assert all((row, column) > (2, 3) for row, column in moved)


def test_laplace_bits_are_those_of_a_distribution():
    values = torch.arange(-60.0, 61.0)
    bits = laplace_bits(values, torch.tensor(0.3), torch.tensor(2.0))
    assert float((2**-bits).sum()) == pytest.approx(1.0, abs=1e-3)
    probability = 1 - math.exp(-0.5 / 2)  # within half a step of the mean
    exact = laplace_bits(torch.tensor(0.0), torch.tensor(0.0), torch.tensor(2.0))
    assert float(exact) == pytest.approx(-math.log2(probability), rel=1e-4)


def test_latents_do_not_lose_digits_under_autocast():
    net = compressor()
    net.fit_linear([torch.rand(3, 64, 64) * 2 - 1 for _ in range(4)])
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    latent = net.encode(image)
    assert latent.abs().max() > 64, "large enough for bf16 to round it"
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(net.encode(image), latent)


@torch.no_grad()
def test_images_of_one_color_give_finite_copies():
    net = compressor()
    images = [torch.full((3, 32, 32), 0.25)] * 3
    net.fit_linear(images)
    copies = net(torch.stack(images))
    assert copies.isfinite().all()
    assert (copies - 0.25).abs().max() < 0.01


def test_more_values_than_a_block_has_are_refused():
    with pytest.raises(DataError, match="200 is more than the 48 values of a block"):
        compressor(latent_channels=200)
