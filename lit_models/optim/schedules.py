"""Learning-rate schedules over a whole training.

Each is a function of the step and of the number of steps that the training has now: a checkpoint
restores the step alone, so a training that is lengthened follows the schedule of its new length.

Any scheduler of torch that takes the optimizer alone (ReduceLROnPlateau, StepLR, ...) can stand in
their place in a config.
"""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from jsonargparse.typing import OpenUnitInterval
from pytorch_lightning.callbacks import GradientAccumulationScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from common.errors import DataError
from common.ranges import HalfOpenUnitInterval


class StepSchedule:
    """A schedule that is stepped after each batch, by a `StepScheduler`."""

    def lr(self, base: float, step: int, total: int) -> float:
        """Learning rate of a step, counted from 0, where the optimizer's own is ``base``."""
        raise NotImplementedError

    def momentum(self, step: int, total: int) -> float | None:
        """Momentum of a step; None leaves the optimizer's own."""
        return None


class StepScheduler(LRScheduler):
    """Sets what a `StepSchedule` says for the step and for the steps that the training has now."""

    def __init__(
        self, optimizer: Optimizer, schedule: StepSchedule, total_steps: Callable[[], int]
    ) -> None:
        self.schedule, self.total_steps = schedule, total_steps
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        total = max(1, self.total_steps())
        step = min(self.last_epoch, total)  # the last call is behind the last step
        momentum = self.schedule.momentum(step, total)
        for group in self.optimizer.param_groups if momentum is not None else ():
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum
        return [self.schedule.lr(float(base), step, total) for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.last_epoch = state_dict["last_epoch"]
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr


def total_steps(trainer: pl.Trainer, updates: int = 1) -> int:
    """Steps of a schedule over the whole training, as the trainer is set now.

    Args:
        trainer: of the training.
        updates: optimizer steps in each batch, all of which ``trainer.max_steps`` counts.

    Raises:
        DataError: the training has no end.
    """
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


class OneCycle(StepSchedule):
    """Warm-up and annealing by cosines (Smith and Topin 2017, arXiv 1708.07120).

    The optimizer's learning rate is the peak, reached from a 25th of it; the end is about 0. The
    same as ``torch.optim.lr_scheduler.OneCycleLR``.

    Args:
        pct_start: fraction of the steps that is warm-up.
        cycle_momentum: momentum (Adam's first beta) falls to 0.85 and rises to 0.95 again.
    """

    def __init__(self, pct_start: OpenUnitInterval = 0.15, cycle_momentum: bool = False) -> None:
        self.pct_start, self.cycle_momentum = pct_start, cycle_momentum

    def lr(self, base: float, step: int, total: int) -> float:
        return self._anneal(base / 25, base, base / 25 / 1e4, step, total)

    def momentum(self, step: int, total: int) -> float | None:
        return self._anneal(0.95, 0.85, 0.95, step, total) if self.cycle_momentum else None

    def _anneal(self, start: float, peak: float, end: float, step: int, total: int) -> float:
        rise, last = float(self.pct_start * total) - 1, total - 1
        if step <= rise:
            return _cosine(start, peak, step / rise if rise else 1.0)
        return _cosine(peak, end, min(1.0, (step - rise) / (last - rise)) if last > rise else 1.0)


class CosineAnnealing(StepSchedule):
    """From the optimizer's learning rate to 0 by half a cosine."""

    def lr(self, base: float, step: int, total: int) -> float:
        return _cosine(base, 0.0, step / total)


class LinearDecay(StepSchedule):
    """The optimizer's learning rate, falling linearly to 0 over the last part of the training.

    Args:
        start: fraction of the steps after which it falls.
    """

    def __init__(self, start: HalfOpenUnitInterval = 0.5) -> None:
        self.start = start

    def lr(self, base: float, step: int, total: int) -> float:
        return base * min(1.0, (total - step) / (total * (1 - self.start)))


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
