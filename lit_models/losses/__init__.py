"""Losses that configs name beside torch's own."""

from lit_models.losses.adversarial import (
    AdversarialLoss,
    BCEAdversarialLoss,
    CenteredBCEAdversarialLoss,
)
from lit_models.losses.mse_ssim import MSESSIMLoss
from lit_models.losses.overlap import BCEDiceLoss, FocalTverskyLoss
from lit_models.losses.spectrum import SpectrumLoss

__all__ = [
    "AdversarialLoss",
    "BCEAdversarialLoss",
    "BCEDiceLoss",
    "CenteredBCEAdversarialLoss",
    "FocalTverskyLoss",
    "MSESSIMLoss",
    "SpectrumLoss",
]
