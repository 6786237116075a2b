import pytest
import torch

from lit_models.losses import PSNRLoss


def test_psnr_loss_by_hand():
    target = torch.zeros(2, 3, 4, 4)
    found = torch.stack([torch.full((3, 4, 4), 0.2), torch.full((3, 4, 4), 0.02)])
    # An error of .2 in [-1, 1] is .1 of the range: 20 dB; a tenth of it 40 dB.
    assert PSNRLoss()(found, target) == pytest.approx(-30, abs=1e-3)
    assert PSNRLoss()(target, target) == pytest.approx(-80, abs=1e-3)
