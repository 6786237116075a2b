"""Lightning hooks. Imported on first use, so that a task loads only what it uses."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "feature_cache": ["FeatureCache"],
        "class_weights": ["ClassWeights"],
        "weight_average": ["WeightAverage"],
        "after_training": ["TemperatureScaling", "UnknownDetection"],
        "checkpoints": ["BestCheckpoint"],
        "figures.aoi": ["AOIFigures"],
        "figures.vessels": ["VesselFigures"],
        "figures.retina": ["RetinaFigures"],
        "figures.blots": ["BlotFigures"],
        "writers.aoi": ["AOIWriter"],
        "writers.vessels": ["VesselWriter"],
        "writers.retina": ["RetinaWriter"],
        "writers.blots": ["BlotWriter"],
    },
)
