"""The memory format of convolutions."""

import logging
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from experiment.hardware import FORMATS, MemoryFormat, native_memory_format

log = logging.getLogger(__name__)


class ConvolutionLayout(Callback):
    """Stores convolution weights in a memory format; numbers change by the order of sums alone.

    The checkpoint keeps the precision of the training, for whoever uses it without a config.

    Args:
        memory_format: "auto" takes `native_memory_format`; where that is contiguous, a network that
            chose channels-last for itself keeps it.
    """

    def __init__(self, memory_format: MemoryFormat = "auto") -> None:
        self.memory_format = memory_format
        self._precision = "32-true"

    def state_dict(self) -> dict[str, Any]:
        return {"precision": self._precision}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        device = trainer.strategy.root_device
        by_hand = self.memory_format != "auto"
        chosen = self.memory_format if by_hand else native_memory_format(device)
        if by_hand or chosen == "channels_last":
            pl_module.to(memory_format=FORMATS[chosen])
        self._precision = str(trainer.precision)
        log.info("precision %s, memory format %s on %s", trainer.precision, chosen, device.type)
