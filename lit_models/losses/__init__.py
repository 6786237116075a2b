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
        "mse_ssim": ["MSESSIMLoss"],
        "overlap": ["BCEDiceLoss", "FocalTverskyLoss"],
        "spectrum": ["SpectrumLoss"],
    },
)
