"""Networks that configs name. Imported on first use, so that a task loads only its own."""

from importlib import import_module

_MODULE_OF = {
    "TorchvisionClassifier": "torchvision_classifier",
    "UNet": "unet",
    "AutoEncoder": "unet",
    "ResidualUNet": "residual_unet",
    "ReferenceGenerator": "reference_gan",
    "ReferenceDiscriminator": "reference_gan",
    "StyledBlotGenerator": "styled_blot_generator",
    "StyledBlotDiscriminator": "styled_blot_discriminator",
    "DiffAugment": "diff_augment",
}
__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
