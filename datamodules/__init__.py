"""One LightningDataModule per task. Imported on first use, so that a task loads only its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "aoi": ["AOIDataModule"],
        "drive": ["DRIVESegmentationDataModule", "DRIVEReconstructionDataModule"],
        "blots": ["BlotDataModule", "StyledBlotDataModule"],
    },
)
