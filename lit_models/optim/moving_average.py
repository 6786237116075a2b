"""An exponential moving average of weights with a warm-up."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Exponential moving average for ``AveragedModel``, whose first steps forget faster.

    The weight of the newest is 9 / (10 + steps), until ``1 - decay`` is more. Integers are copied.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        weight = (9 / (10 + count)).clamp(min=1 - decay)
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, weight)
            else:
                old.copy_(new)

    return update
