"""Losses that configs name beside torch's own. Imported on first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "adversarial": [
            "AdversarialLoss",
            "BCEAdversarialLoss",
            "CenteredBCEAdversarialLoss",
        ],
        "bce_dice": ["BCEDiceLoss"],
        "focal_tversky": ["FocalTverskyLoss"],
        "mse_ssim": ["MSESSIMLoss"],
        "spectrum": ["SpectrumLoss"],
    },
)
