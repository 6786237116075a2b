"""What several processes computed, put together in the order of the data set."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor


def gather(trainer: pl.Trainer, mine: list[Any]) -> list[Any]:
    """The items of all processes, one process after the other; every process must call it."""
    if trainer.world_size == 1:
        return mine
    shares: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(shares, mine)
    return list(chain.from_iterable(shares))


def gather_in_order(
    trainer: pl.Trainer, batches: Sequence[tuple[Tensor, ...]], index: int
) -> list[Tensor]:
    """Columns of the batches of all processes, sorted by the positions in column ``index``.

    Every process must call it; each gets the whole, on the CPU.
    """
    mine = [tuple(column.cpu() for column in batch) for batch in batches]
    columns = [torch.cat(column) for column in zip(*gather(trainer, mine), strict=True)]
    order = columns[index].argsort()
    return [column[order] for column in columns]
