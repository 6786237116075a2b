"""The LightningModules, one file a method. Imported on first use: a task loads only its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "defect_classifier": ["DefectClassifier"],
        "vessel_segmenter": ["VesselSegmenter"],
        "image_reconstructor": ["ImageReconstructor"],
        "blot_gan": ["BlotGAN"],
        "styled_blot_gan": ["StyledBlotGAN"],
    },
)
