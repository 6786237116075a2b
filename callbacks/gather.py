"""Gathers results from all processes."""

from collections.abc import Callable
from itertools import chain
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch

from common.errors import DataError

T = TypeVar("T")


def gather(trainer: pl.Trainer, local_items: list[T]) -> list[T]:
    """Items from all processes, in the order of ranks; every process must call it."""
    if trainer.world_size == 1:
        return local_items
    shares: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(shares, local_items)
    return list(chain.from_iterable(shares))


def on_rank_zero(trainer: pl.Trainer, function: Callable[[], T]) -> T:
    """What ``function`` returns on rank 0, in every process; every process must call it.

    Raises:
        DataError: rank 0 raised it; in every process, so that none waits for another.
    """
    result: Any = None
    if trainer.is_global_zero:
        try:
            result = function()
        except DataError as error:
            result = error
    result = trainer.strategy.broadcast(result)
    if isinstance(result, DataError):
        raise result
    return result
