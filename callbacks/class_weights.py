"""Rare classes weigh more in the training loss."""

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from common.errors import DataError
from common.ranges import NonNegativeFinite


class ClassWeights(Callback):
    """Sets the ``weight`` of ``torch.nn.CrossEntropyLoss`` from the training labels.

    A class of n images weighs ``n ** -power``; over the training images the mean weight is 1.
    Needs a data module whose ``train_set`` has ``targets`` ``(N,)``, as torchvision's sets have.

    Args:
        power: 0 weighs all images equally, 1 all classes.
    """

    def __init__(self, power: NonNegativeFinite = 0.5) -> None:
        self.power = power

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        loss = pl_module.loss
        if not isinstance(loss, torch.nn.CrossEntropyLoss):
            raise DataError(
                f"callbacks.ClassWeights: model.loss is {type(loss).__name__}, which has no class "
                "weights; give torch.nn.CrossEntropyLoss or remove the callback"
            )
        targets = trainer.datamodule.train_set.targets  # type: ignore[attr-defined]
        classes = len(pl_module.hparams["class_names"])
        counts = torch.bincount(torch.as_tensor(targets), minlength=classes)
        weights = counts.float().clamp_min(1) ** -self.power
        weights = weights * counts.sum() / (weights * counts).sum()
        # Not saved: evaluation weighs images equally, and a resumed run computes them again.
        loss.register_buffer("weight", weights.to(pl_module.device), persistent=False)
