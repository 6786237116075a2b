"""Losses that configs name beside torch's own."""

from lit_models.losses.adversarial import (
    AdversarialLoss,
    BCEAdversarialLoss,
    HingeAdversarialLoss,
)
from lit_models.losses.bce_dice import BCEDiceLoss
from lit_models.losses.focal_tversky import FocalTverskyLoss
from lit_models.losses.mse_ssim import MSESSIMLoss

__all__ = [
    "AdversarialLoss",
    "BCEAdversarialLoss",
    "BCEDiceLoss",
    "FocalTverskyLoss",
    "HingeAdversarialLoss",
    "MSESSIMLoss",
]
