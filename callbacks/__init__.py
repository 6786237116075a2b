"""Lightning hooks. Imported on first use, so that a task loads only what it uses."""

from importlib import import_module

_MODULE_OF = {
    "FeatureCache": "feature_cache",
    "ClassWeights": "class_weights",
    "WeightAverage": "weight_average",
    "CenterDiscriminatorLogits": "center_discriminator_logits",
    "TemperatureScaling": "temperature_scaling",
    "UnknownDetection": "unknown_detection",
    "BestCheckpoint": "checkpoints",
    "AOIFigures": "figures.aoi",
    "VesselFigures": "figures.vessels",
    "RetinaFigures": "figures.retina",
    "BlotFigures": "figures.blots",
    "BlotStyleFigures": "figures.blots",
    "AOIWriter": "writers.aoi",
    "VesselWriter": "writers.vessels",
    "RetinaWriter": "writers.retina",
    "BlotWriter": "writers.blots",
}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
