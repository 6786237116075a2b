"""A training always ends with a validation."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


class LastValidation(Callback):
    """Validates after the last epoch, whatever ``check_val_every_n_epoch`` is, and the last step.

    Otherwise a training shorter than that interval, or one that ``max_steps`` ends within an epoch,
    would keep no best checkpoint.
    """

    def __init__(self) -> None:
        self._interval: int | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._interval is None:
            self._interval = trainer.check_val_every_n_epoch
        last = trainer.current_epoch + 1 == trainer.max_epochs
        trainer.check_val_every_n_epoch = 1 if last and self._interval else self._interval

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True  # after which Lightning validates, unlike after max_steps
