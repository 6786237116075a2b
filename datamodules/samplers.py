"""Which samples a process sees, in one process or several."""

from collections.abc import Sized

import pytorch_lightning as pl
from torch.utils.data import Dataset, DistributedSampler


def shuffled(dataset: Dataset, trainer: pl.Trainer, seed: int) -> DistributedSampler:
    """Training order, a function of ``seed`` and the epoch alone, so that a resumed run repeats it.

    Lightning calls its ``set_epoch``. Over several processes the last few samples are repeated to
    make the shares equal, as gradient synchronisation needs.
    """
    return DistributedSampler(
        dataset, num_replicas=trainer.world_size, rank=trainer.global_rank, shuffle=True, seed=seed
    )


def in_order(dataset: Sized, trainer: pl.Trainer) -> range:
    """Evaluation order: every sample once over all processes, so that metrics are exact."""
    return range(trainer.global_rank, len(dataset), trainer.world_size)
