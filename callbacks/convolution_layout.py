"""The memory format of convolutions."""

import logging
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from experiment.hardware import native_memory_format

log = logging.getLogger(__name__)


class ConvolutionLayout(Callback):
    """Stores convolution weights channels-last where that is faster, see `native_memory_format`.

    Elsewhere the layout that a network has chosen stays. Numbers change only by the order of sums.
    The checkpoint keeps the precision of the training, for use without a config.
    """

    def __init__(self) -> None:
        self._precision = "32-true"

    def state_dict(self) -> dict[str, Any]:
        return {"precision": self._precision}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        layout = native_memory_format(trainer.strategy.root_device)
        if layout == torch.channels_last:
            pl_module.to(memory_format=layout)
        self._precision = str(trainer.precision)
        log.info("precision %s, memory format %s", trainer.precision, str(layout)[6:])
