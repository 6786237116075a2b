"""What was coded comes back, by the same probabilities everywhere, at the price of the prior."""

import hashlib

import numpy as np
import pytest
import torch

from common.errors import DataError
from inference.latent_coder import LatentCoder, laplace_cdf, probabilities
from lit_models.networks.context_prior import ContextPrior, laplace_bits

pytest.importorskip("constriction")


@pytest.fixture
def prior():
    torch.manual_seed(0)
    prior = ContextPrior(6, hidden=16)
    torch.nn.init.normal_(prior.head.weight, std=0.3)
    torch.nn.init.normal_(prior.head.bias, std=0.5)
    return prior


STD = torch.linspace(1, 30, 6)[:, None, None]


def drawn(rows, columns):
    torch.manual_seed(rows * 1000 + columns)
    values = torch.distributions.Laplace(0.0, 0.5 * STD).sample((rows, columns))
    return values.permute(2, 0, 1, 3, 4)[:, :, :, 0, 0].round().clamp(-128, 127)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 3), (4, 11)])
def test_round_trip(prior, size):
    coder, latent = LatentCoder(prior, STD), drawn(*size).int().numpy()
    assert np.array_equal(coder.decode(coder.encode(latent), *size), latent)
    extreme = np.random.default_rng(0).choice([-128, 127], latent.shape)
    assert np.array_equal(coder.decode(coder.encode(extreme), *size), extreme)


def test_it_costs_what_the_prior_says(prior):
    latent = drawn(24, 24)
    with torch.no_grad():
        ideal = laplace_bits(latent[None], *prior(latent[None], STD)).sum() / 8
    coded = len(LatentCoder(prior, STD).encode(latent.int().numpy()))
    assert coded == pytest.approx(float(ideal), rel=0.005)


def test_probabilities_are_those_of_the_laplace_distribution():
    rng = np.random.default_rng(0)
    mean, scale = rng.integers(-127 * 16, 127 * 16, 300), rng.integers(0, 84, 300)
    found = probabilities(mean, scale)
    assert found.min() >= 2.0**-22
    assert np.array_equal(found.astype(np.float64).sum(axis=1), np.ones(300))
    exact = torch.distributions.Laplace(
        torch.from_numpy(mean / 16)[:, None], torch.from_numpy(0.02 * np.exp(scale / 8))[:, None]
    )
    values = torch.arange(-128, 128).double()
    upper, lower = exact.cdf(values + 0.5), exact.cdf(values - 0.5)
    upper[:, -1], lower[:, 0] = 1, 0
    assert np.abs(found - (upper - lower).numpy()).max() < 2e-4  # a part each for 256 values


def test_tables_do_not_change():
    """Files are read by the tables they were written by, for as long as the version is 1."""
    table = laplace_cdf()
    weights = np.arange(1, table.size + 1, dtype=np.uint64).reshape(table.shape)
    assert int((table.astype(np.uint64) * weights).sum() % (2**61 - 1)) == CHECKSUM


CHECKSUM = 503157956382282792


def test_a_file_of_today_is_read_tomorrow():
    """The bytes of a version: by any constriction, BLAS and number of threads."""
    rng = np.random.default_rng(0)
    prior = ContextPrior(6, hidden=16)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.3, parameter.shape)))
    latent = np.clip(np.rint(rng.laplace(0, 8, (6, 13, 17))), -128, 127).astype(np.int32)
    data = LatentCoder(prior, STD).encode(latent)
    assert hashlib.sha256(data).hexdigest()[:16] == "21bc32ce8ceeb889"


def test_sums_are_exact_in_any_order(prior):
    """Whatever BLAS does: the order of the channels and of the taps does not matter."""
    coder = LatentCoder(prior, STD)
    rng = np.random.default_rng(0)
    earlier = rng.integers(-128, 128, (coder.kernel.shape[1], 50)).astype(float)
    order = rng.permutation(len(earlier))
    assert np.array_equal(coder.kernel @ earlier, coder.kernel[:, order] @ earlier[order])
    for weights in (coder.kernel, coder.mean_head, coder.scale_head, coder.bias, coder.log_std):
        assert np.array_equal(weights, np.rint(weights))


@pytest.mark.parametrize("value", [1e12, float("nan"), float("inf")])
def test_weights_that_cannot_be_exact_are_refused(prior, value):
    with torch.no_grad():
        prior.head.weight[0] = value
    with pytest.raises(DataError, match="weights too large to code with"):
        LatentCoder(prior, STD)


def test_garbage_ends(prior):
    coder = LatentCoder(prior, STD)
    rng = np.random.default_rng(0)
    for length in (0, 4, 400, 40000):
        data = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        try:
            found = coder.decode(data, 6, 6)
        except ValueError:
            continue
        assert found.shape == (6, 6, 6)
