"""What several processes computed, put together in the order of the data set."""

from collections.abc import Sequence
from itertools import chain

import pytorch_lightning as pl
import torch
from torch import Tensor


def gather_in_order(
    trainer: pl.Trainer, batches: Sequence[tuple[Tensor, ...]], index: int
) -> list[Tensor]:
    """Columns of the batches of all processes, sorted by the positions in column ``index``.

    Every process must call it; each gets the whole, on the CPU.
    """
    mine = [tuple(column.cpu() for column in batch) for batch in batches]
    shares = [mine]
    if trainer.world_size > 1:
        shares = [[] for _ in range(trainer.world_size)]
        torch.distributed.all_gather_object(shares, mine)
    columns = [torch.cat(column) for column in zip(*chain.from_iterable(shares), strict=True)]
    order = columns[index].argsort()
    return [column[order] for column in columns]
