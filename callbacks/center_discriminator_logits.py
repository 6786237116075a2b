"""Sets where the logits of a styled blot GAN's discriminator are cut."""

import pytorch_lightning as pl
import torch
from jsonargparse.typing import PositiveInt
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from common.errors import DataError
from lit_models.postprocessing.styled_blots import seeded_styled
from lit_models.styled_blot_gan import StyledBlotGAN


class CenterDiscriminatorLogits(Callback):
    """Sets the ``middle`` of a `StyledBlotDiscriminator` before each validation of ``fit``.

    It lies between the logits of training blots and of blots generated in their style, with the
    weights and the grain of validation. A running mean over training batches would lag: one step
    of D moves all logits by more than the distance of real and generated blots. List it after
    `WeightAverage`.

    Args:
        blots: training blots to use, at most, evenly spaced in the data set.

    Raises:
        DataError: at validation, for a module that is not a `StyledBlotGAN`.
    """

    def __init__(self, blots: PositiveInt = 160) -> None:
        self.blots = blots
        self._blots: list[Tensor] = []

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if not isinstance(pl_module, StyledBlotGAN):
            raise DataError(
                f"callbacks.CenterDiscriminatorLogits: {type(pl_module).__name__} has no such "
                "discriminator; leave the callback to StyledBlotGAN"
            )
        if not self._blots:
            dataset = trainer.train_dataloader.dataset  # type: ignore[union-attr]
            items = [dataset[i] for i in range(0, len(dataset), -(-len(dataset) // self.blots))]
            keys = ("image", "style", "target")
            self._blots = [torch.stack([item[key] for item in items]) for key in keys]
        logits: tuple[list[Tensor], list[Tensor]] = [], []
        parts = (x.to(pl_module.device).split(40) for x in self._blots)
        for templates, styles, real in zip(*parts, strict=True):
            fake = seeded_styled(pl_module.generator, templates, styles)
            for images, kind in zip((real, fake), logits, strict=True):
                kind.append(pl_module.discriminator(templates, styles, images))
        pl_module.discriminator.set_middle(*(torch.cat(kind) for kind in logits))
