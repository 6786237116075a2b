"""Which samples a process sees, in one process or several."""

import pytorch_lightning as pl
from torch.utils.data import Dataset, DistributedSampler


def train_sampler(dataset: Dataset, trainer: pl.Trainer | None, seed: int) -> DistributedSampler:
    """Training order, a function of ``seed`` and the epoch alone, so that a resumed run repeats it.

    Lightning calls its ``set_epoch``. Over several processes the last few samples are repeated to
    make the shares equal, as gradient synchronization needs. Without a trainer: one process.
    """
    rank, processes = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
    return DistributedSampler(dataset, num_replicas=processes, rank=rank, shuffle=True, seed=seed)


def eval_sampler(dataset: Dataset, trainer: pl.Trainer | None) -> range:
    """Evaluation order: every sample once over all processes, so that metrics are exact."""
    rank, processes = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
    return range(rank, len(dataset), processes)  # type: ignore[arg-type]
