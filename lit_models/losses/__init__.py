"""Losses that configs name beside torch's own."""

from lit_models.losses.adversarial import BCEAdversarialLoss, CenteredBCEAdversarialLoss
from lit_models.losses.images import MSESSIMLoss, SpectrumLoss
from lit_models.losses.overlap import BCEDiceLoss, FocalTverskyLoss

__all__ = [
    "BCEAdversarialLoss",
    "BCEDiceLoss",
    "CenteredBCEAdversarialLoss",
    "FocalTverskyLoss",
    "MSESSIMLoss",
    "SpectrumLoss",
]
