import pytest
import torch
from torchmetrics.utilities import dim_zero_cat

from lit_models.metrics.kid import BlotKID


def test_kid_is_the_unbiased_estimate():
    torch.manual_seed(0)
    kid = BlotKID("random")
    real, fake = torch.rand(12, 1, 32, 32), torch.rand(12, 1, 32, 32) ** 2
    kid.update(real[:5], real=True)
    kid.update(real[5:], real=True)
    kid.update(fake, real=False)
    x, y = kid.inception(real).double(), kid.inception(fake).double()
    k_xx, k_yy, k_xy = ((a @ b.T / 512 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    off = 1 - torch.eye(12)
    expected = ((k_xx + k_yy) * off).sum() / (12 * 11) - 2 * k_xy.mean()
    assert kid.compute() == pytest.approx(float(expected), rel=1e-3)


def test_processes_need_not_have_as_many_batches():
    """torchmetrics gathers a state with one tensor a process; a list of batches it would not."""
    kid = BlotKID("random")
    for _ in range(2):
        assert [len(features) for features in kid.real_features] == [0]
        for name in ("real_features", "fake_features"):
            assert kid._reductions[name] is dim_zero_cat
        images = torch.rand(3, 1, 32, 32)
        kid.update(images, real=True)
        kid.update(images, real=False)
        assert dim_zero_cat(kid.real_features).shape == (3, 512)
        kid.reset()
