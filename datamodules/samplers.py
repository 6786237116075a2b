"""Which samples a process sees, in one process or several."""

import pytorch_lightning as pl
from torch.utils.data import Dataset, DistributedSampler


def shuffled(dataset: Dataset, trainer: pl.Trainer | None, seed: int) -> DistributedSampler:
    """Training order, a function of ``seed`` and the epoch alone, so that a resumed run repeats it.

    Lightning calls its ``set_epoch``. Over several processes the last few samples are repeated to
    make the shares equal, as gradient synchronisation needs.
    """
    assert trainer is not None, "loaders are made for a trainer"
    return DistributedSampler(
        dataset, num_replicas=trainer.world_size, rank=trainer.global_rank, shuffle=True, seed=seed
    )


def in_order(dataset: Dataset, trainer: pl.Trainer | None) -> range:
    """Evaluation order: every sample once over all processes, so that metrics are exact."""
    assert trainer is not None, "loaders are made for a trainer"
    length = len(dataset)  # type: ignore[arg-type]
    return range(trainer.global_rank, length, trainer.world_size)
