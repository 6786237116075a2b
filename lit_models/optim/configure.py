"""Builds what ``configure_optimizers`` returns, from the parts that a config names."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from common.errors import DataError
from lit_models.optim.schedules import StepSchedule


def configure_optimizer(
    module: pl.LightningModule,
    parameters: Iterable[Any],
    optimizer: OptimizerCallable,
    lr_scheduler: StepSchedule | LRSchedulerCallable | None,
    monitor: str = "val/loss",
) -> OptimizerLRScheduler:
    """Optimizer and schedule, a `StepSchedule` stepped with each batch, others with each epoch.

    Args:
        module: whose trainer knows how many steps the training has.
        parameters: as the optimizer takes them, groups allowed.
        optimizer: makes the optimizer.
        lr_scheduler: makes the schedule; None leaves the learning rate as it is.
        monitor: the metric that ReduceLROnPlateau looks at.

    Raises:
        DataError: a setting of either is out of its range; a plateau of what is not validated.
    """
    built = build_optimizer(optimizer, parameters, "model.optimizer")
    if lr_scheduler is None:
        return built
    scheduler: dict[str, Any] = {}
    with wrap_optimizer_errors("model.lr_scheduler"):
        if isinstance(lr_scheduler, StepSchedule):
            stepped = lr_scheduler(built, partial(total_steps, module))
            scheduler = {"scheduler": stepped, "interval": "step"}
        else:
            scheduler = {"scheduler": lr_scheduler(built)}
    if isinstance(scheduler["scheduler"], ReduceLROnPlateau):
        if not has_validation(module):
            raise DataError(
                f"model.lr_scheduler: ReduceLROnPlateau waits for {monitor}, and nothing is "
                "validated (data.fold all, or trainer.limit_val_batches 0); give another, such as "
                "lit_models.optim.CosineAnnealing"
            )
        # Steps when there is something new to step by.
        every = module.trainer.check_val_every_n_epoch or 1
        scheduler |= {"monitor": monitor, "frequency": every}
    return {"optimizer": built, "lr_scheduler": scheduler}  # type: ignore[return-value]


def has_validation(module: pl.LightningModule) -> bool:
    """Whether any image is held out from this training, and looked at."""
    data = getattr(module.trainer, "datamodule", None)
    limit = getattr(module.trainer, "limit_val_batches", 1)
    return not getattr(data, "trains_on_all", False) and limit != 0


def total_steps(module: pl.LightningModule, updates: int = 1) -> int:
    """Steps of a schedule over the whole training, as the trainer is set now.

    Args:
        module: module whose trainer knows it.
        updates: optimizer steps in each batch, all of which ``trainer.max_steps`` counts.

    Raises:
        DataError: the training has no end.
    """
    trainer = module.trainer
    accumulation = [c for c in trainer.callbacks if isinstance(c, GradientAccumulationScheduler)]  # type: ignore[attr-defined]
    if accumulation and trainer.max_epochs and trainer.max_epochs > 0:
        trainer.fit_loop.setup_data()  # else the number of batches is not known yet
        factors = map(accumulation[0].get_accumulate_grad_batches, range(trainer.max_epochs))
        steps: float = sum(math.ceil(trainer.num_training_batches / factor) for factor in factors)
    else:
        steps = trainer.estimated_stepping_batches
    if trainer.max_steps > 0:
        steps = min(steps, math.ceil(trainer.max_steps / updates))
    if math.isinf(steps):
        raise DataError("model.lr_scheduler: needs an end; give trainer.max_epochs or another one")
    return int(steps)


def build_optimizer(
    optimizer: OptimizerCallable, parameters: Iterable[Any], option: str
) -> Optimizer:
    """The optimizer of ``parameters``, groups allowed; ``option`` is named in messages.

    Raises:
        DataError: a setting is out of its range.
    """
    with wrap_optimizer_errors(option):
        built = optimizer(parameters)
    if isinstance(built, Adam | SGD):
        for group in built.param_groups:
            # One kernel for all weights. Not by an argument of the optimizer: Lightning refuses to
            # clip gradients then, for the sake of loss scaling, which bfloat16 does without.
            if group["fused"] is group["foreach"] is None:
                group["fused"] = all(weight.is_cuda for weight in group["params"]) or None
    return built


@contextmanager
def wrap_optimizer_errors(option: str) -> Iterator[None]:
    """Raise DataError, with the option, where torch refuses a setting."""
    try:
        yield
    except (ValueError, TypeError, ZeroDivisionError, RuntimeError) as error:
        raise DataError(f"{option}: {error}") from None
