"""Stops a run at the first loss or weight that is not finite."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from common.errors import DataError
from experiment.checkpoints.network import check_finite


class NonFiniteGuard(Callback):
    """Stops ``fit`` at the first loss that is not finite, and refuses weights that are not.

    It checks what ``training_step`` returns: in each step on a single CPU, elsewhere, where that
    costs time, every ``log_every_n_steps`` and before anything is validated or saved. So all
    checkpoints have finite losses. Validation, test and prediction refuse weights that are not
    finite; prediction also refuses such outputs.

    Raises:
        DataError: one line that says where, and what is left to go on from.
    """

    def __init__(self) -> None:
        self._bad: Tensor | None = None  # whether a loss since the last look was not finite

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        losses = list(_floats(outputs))
        if losses:
            bad = ~torch.stack([loss.detach().isfinite().all() for loss in losses]).all()
            self._bad = bad if self._bad is None else self._bad | bad
        every = max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        at_no_cost = pl_module.device.type == "cpu" and trainer.world_size == 1
        if at_no_cost or (batch_idx + 1) % every == 0:
            self._look(trainer, batch_idx)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._look(trainer)
        else:
            check_finite(trainer.ckpt_path, pl_module.state_dict())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        check_finite(trainer.ckpt_path, pl_module.state_dict())

    on_predict_start = on_test_start

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        if not all(bool(values.isfinite().all()) for values in _floats(outputs)):
            names = ", ".join(batch["name"])
            raise DataError(f"{names}: the model's output is not finite; look at the image")

    def _look(self, trainer: pl.Trainer, batch_idx: int | None = None) -> None:
        if self._bad is None:
            return
        # In all processes at once, so that none waits for another that has stopped.
        bad = trainer.strategy.reduce_boolean_decision(bool(self._bad), all=False)
        self._bad = None
        if bad:
            step = "" if batch_idx is None else f", step {batch_idx + 1}"
            kept = " (last.ckpt is of the epoch before)" if trainer.current_epoch else ""
            raise DataError(
                f"epoch {trainer.current_epoch + 1}{step}: the training loss is not finite; lower "
                f"the learning rate or clip gradients{kept}"
            )


def _floats(values: Any) -> Iterator[Tensor]:
    """Floating-point tensors in nested dicts and lists."""
    if isinstance(values, Tensor):
        if values.is_floating_point():
            yield values
    elif isinstance(values, Mapping):
        yield from _floats(list(values.values()))
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _floats(value)
