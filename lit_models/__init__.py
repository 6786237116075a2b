"""The LightningModules, one file a method. Imported on first use: a task loads only its own."""

from importlib import import_module

_MODULE_OF = {
    "DefectClassifier": "defect_classifier",
    "VesselSegmenter": "vessel_segmenter",
    "ImageReconstructor": "image_reconstructor",
    "BlotGAN": "blot_gan",
    "StyledBlotGAN": "styled_blot_gan",
}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
