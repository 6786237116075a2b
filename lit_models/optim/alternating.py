"""Updates of two networks in turn, in Lightning's manual optimization."""

from typing import cast

import pytorch_lightning as pl
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler


def update(
    module: pl.LightningModule, optimizer: LightningOptimizer, loss: Tensor, counted: bool = True
) -> None:
    """One step of an optimizer on a loss.

    Args:
        module: that trains.
        optimizer: toggled.
        loss: a scalar.
        counted: as a step of ``global_step``, which shall be the number of batches.
    """
    optimizer.zero_grad()
    module.manual_backward(loss)
    if counted:
        optimizer.step()
    else:  # what it does, less the count
        module.trainer.strategy.optimizer_step(optimizer.optimizer, lambda: None)


def step_schedulers(module: pl.LightningModule) -> None:
    """Step all schedules; for the end of a batch."""
    for scheduler in cast(list[LRScheduler], module.lr_schedulers() or []):
        scheduler.step()
