import math

import pytest
import torch
from torch import nn

from lit_models.losses import BCEAdversarialLoss, CenteredBCEAdversarialLoss


def test_bce_on_logits_equals_the_references_sigmoid_and_bce():
    real, fake = torch.randn(64, 1) * 3, torch.randn(64, 1) * 3
    bce, ones, zeros = nn.BCELoss(), torch.ones(64, 1), torch.zeros(64, 1)
    loss = BCEAdversarialLoss()
    reference = bce(real.sigmoid(), ones) + bce(fake.sigmoid(), zeros)
    torch.testing.assert_close(loss.discriminator(real, fake), reference)
    torch.testing.assert_close(loss.generator(fake), bce(fake.sigmoid(), ones))
    sure = loss.discriminator(ones * 200, ones * 200)  # a sigmoid would be rounded to 1 here
    assert sure == pytest.approx(200)


@pytest.mark.parametrize("loss", [BCEAdversarialLoss(), CenteredBCEAdversarialLoss()])
def test_where_d_cannot_tell(loss):
    zeros = torch.zeros(4, 1)
    assert loss.discriminator(zeros, zeros) == pytest.approx(2 * math.log(2))
    assert loss.generator(zeros) == pytest.approx(math.log(2))
