"""What runs beside training. Imported on first use, so that a task loads only what it uses."""

from importlib import import_module

_MODULE_OF = {
    "FeatureCache": "feature_cache",
    "LabelWriter": "label_writer",
    "AOIFigures": "aoi_figures",
    "VesselMapWriter": "vessel_maps",
    "VesselFigures": "vessel_figures",
    "ReconstructionWriter": "reconstructions",
    "RetinaFigures": "retina_figures",
    "BlotWriter": "blot_writer",
    "BlotFigures": "blot_figures",
    "WeightAverage": "weight_average",
}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
