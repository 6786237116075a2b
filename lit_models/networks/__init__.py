"""Networks that configs name. Imported on first use, so that a task loads only its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "torchvision_classifier": ["TorchvisionClassifier"],
        "unet": ["UNet", "AutoEncoder", "ResidualUNet"],
        "reference_gan": ["ReferenceGenerator", "ReferenceDiscriminator"],
        "styled_blot_generator": ["StyledBlotGenerator"],
        "styled_blot_discriminator": ["StyledBlotDiscriminator", "DiffAugment"],
    },
)
