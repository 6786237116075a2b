"""What every training epoch begins with: its own random numbers, and a validation of the last."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


class EpochSeed(Callback):
    """Seeds each training epoch from (seed, epoch, rank), so that a resumed run repeats it.

    Random numbers drawn before (by the sanity check, validation, a figure, a crash half-way) do not
    change what an epoch draws: stopped at an epoch's end and resumed equals uninterrupted,
    bit for bit on the CPU. The seed is kept in the checkpoint. It holds as long as training draws
    in the main process, which is why the data modules augment in ``on_after_batch_transfer`` and
    not in their workers.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seed = state_dict["seed"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        entropy = [self.seed, trainer.current_epoch, trainer.global_rank]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (libraries draw from it)
        random.seed(seed)


class LastValidation(Callback):
    """Validates after the last epoch, whatever ``check_val_every_n_epoch`` is, and the last step.

    Otherwise a training shorter than that interval, or one that ``max_steps`` ends within an epoch,
    would keep no best checkpoint.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._interval = trainer.check_val_every_n_epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        trainer.check_val_every_n_epoch = 1 if last and self._interval else self._interval

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True  # after which Lightning validates, unlike after max_steps
