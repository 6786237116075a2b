"""Learning-rate schedules over a whole training, whose number of steps they are given.

Any scheduler of torch that takes the optimizer alone (ReduceLROnPlateau, StepLR, ...) can stand in
their place in a config.
"""

from abc import ABC, abstractmethod

from jsonargparse.typing import OpenUnitInterval
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from common.ranges import HalfOpenUnitInterval


class StepSchedule(ABC):
    """A schedule that is stepped after each batch; `__call__` makes the scheduler."""

    @abstractmethod
    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """The scheduler of ``optimizer`` for a training of ``total_steps`` batches."""


class OneCycle(StepSchedule):
    """Warm-up and annealing, both by cosines (Smith and Topin 2017, arXiv 1708.07120).

    The optimizer's learning rate is the peak, reached from a 25th of it; the end is about 0.

    Args:
        pct_start: part of the steps that is warm-up.
        cycle_momentum: momentum (Adam's first beta) falls to 0.85 and rises to 0.95 again.
    """

    def __init__(self, pct_start: OpenUnitInterval = 0.15, cycle_momentum: bool = False) -> None:
        self.pct_start, self.cycle_momentum = pct_start, cycle_momentum

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(
            optimizer,
            peaks,
            total_steps,
            pct_start=self.pct_start,
            cycle_momentum=self.cycle_momentum,
        )


class CosineAnnealing(StepSchedule):
    """From the optimizer's learning rates to 0 by half a cosine."""

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        return CosineAnnealingLR(optimizer, total_steps)


class LinearDecay(StepSchedule):
    """The optimizer's learning rates, falling linearly to 0 over the last part of the training.

    Args:
        start: part of the steps after which they fall.
    """

    def __init__(self, start: HalfOpenUnitInterval = 0.5) -> None:
        self.start = start

    def __call__(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        rest = total_steps * (1 - self.start)
        return LambdaLR(optimizer, lambda step: min(1.0, (total_steps - step) / rest))
