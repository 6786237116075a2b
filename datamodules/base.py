"""Base class of the data modules: the folder or the sample, samplers and loaders."""

import dataclasses
import logging
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, StackDataset, default_collate

from common.errors import DataError
from common.paths import expand
from common.ranges import BatchSize, Seed
from datamodules.folds import ALL, Fold
from datamodules.loader import Collate, ImageLoader, SafeDataset, Unreadable
from datamodules.synthetic.cache import cached_sample
from datamodules.transforms import Augmentation

log = logging.getLogger(__name__)


class ImageDataModule(pl.LightningDataModule):
    """Images of a folder, or of the built-in sample where none is given.

    A subclass builds its data sets in ``setup`` and has ``draw_sample``, which draws the sample
    into a folder, from a seed. Public beside the arguments, which are saved as hyper-parameters:

    - ``train_set``, ``val_set``, ``test_set``, ``predict_set``: data sets, None where a
      stage has none. Each has ``name(index)``, the file's name.
    - ``collate_fn``, ``train_collate_fn``: put items into a batch of evaluation or training.
    - ``eval_batch_size``: of validation, test and prediction, as ``batch_size`` if not set.
    - ``skipped``: what ``predict`` could not read, ``(name, reason)``, of this process.
    - `trains_on_all`, `is_sample`, `data_source`, `folder`.

    Args:
        data_dir: folder in one of the layouts of docs/data.md; null draws the built-in, synthetic
            sample.
        test_dir: other data of the same kind for ``test``: its test images if it has splits, else
            all; null takes the test images of ``data_dir``.
        predict_dir: plain folder of images, or one image, for ``predict``; null takes the test
            images.
        batch_size: training images in a batch of one process.
        num_workers: processes that read images.
        folds: cut the training and validation images into so many parts, of which one is held out;
            null splits otherwise.
        fold: the held-out part, counted from 0; null is 0, and "all" trains on every image.
        seed: of the split and of the training order.
        augmentation: how training images vary at random, on the device; null: not at all.

    Raises:
        DataError: a fold that does not exist; from ``prepare_data`` and ``setup``, for a layout or
            an image it cannot use.
    """

    draw_sample: ClassVar[Callable[[Path, int], None]]

    def __init__(
        self,
        data_dir: str | None = None,
        *,
        test_dir: str | None = None,
        predict_dir: str | None = None,
        batch_size: BatchSize = 1,
        num_workers: NonNegativeInt = 0,
        folds: PositiveInt | None = None,
        fold: Fold | None = None,
        seed: Seed = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        fold = fold or 0
        if fold != ALL and (folds == 1 or fold >= (folds or 1)):
            raise DataError(f"data.fold: fold {fold} needs data.folds {max(fold + 1, 2)} or more")
        self.save_hyperparameters()
        # Plain values, as a config has them, so that a checkpoint loads as weights alone.
        for name, value in list(self.hparams.items()):
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                self.hparams[name] = dataclasses.asdict(value)
            elif isinstance(value, nn.Module):
                del self.hparams[name]
        self.data_dir, self.test_dir, self.predict_dir = data_dir, test_dir, predict_dir
        self.batch_size, self.eval_batch_size = batch_size, batch_size
        self.num_workers, self.seed = num_workers, seed
        self.folds, self.augmentation = folds, augmentation
        self.fold: Any = fold
        self.collate_fn: Collate = default_collate
        self.train_collate_fn: Collate = default_collate
        self.train_set: Dataset | None = None
        self.val_set: Dataset | None = None
        self.test_set: Dataset | None = None
        self.predict_set: Dataset | None = None
        self.skipped: list[Unreadable] = []

    def _source(self) -> tuple[str, str | None]:
        """Option and value of the folder that the present stage reads."""
        stage = self.trainer.state.fn if self.trainer else None
        if stage == "predict" and self.predict_dir is not None:
            return "predict_dir", self.predict_dir
        if stage == "test" and self.test_dir is not None:
            return "test_dir", self.test_dir
        return "data_dir", self.data_dir

    @property
    def trains_on_all(self) -> bool:
        """Whether no image is held out from training."""
        return self.fold == ALL

    def refuse_to_score_all(self, stage: str) -> None:
        """Refuse any stage but ``fit`` on the training folder where `trains_on_all`.

        Raises:
            DataError: nothing is held out.
        """
        if self.trains_on_all and stage != "fit":
            raise DataError("data.fold: all images are trained on; test or predict other ones")

    @property
    def split_description(self) -> str:
        """ ", fold 0 of 5" for the log; "" without folds."""
        if self.trains_on_all:
            return ", fold all: NO VALIDATION, all epochs are trained and the last one is kept"
        return "" if self.folds is None else f", fold {self.fold} of {self.folds}"

    @property
    def is_sample(self) -> bool:
        """Whether the images of this stage are the built-in drawings."""
        return self._source()[1] is None

    @property
    def data_source(self) -> str:
        """ "sample", or the absolute path of the folder that this stage reads."""
        return "sample" if self.is_sample else str(expand(str(self._source()[1])).resolve())

    @property
    def cache_device(self) -> torch.device:
        """Where a `CachedDataset` keeps its items: the GPU of this process, else the CPU."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return device if device.type == "cuda" else torch.device("cpu")

    @property
    def folder(self) -> Path:
        """``data_dir``, or that of the sample, which is drawn on first use."""
        if self.data_dir is None:
            # Always with seed 0: ``seed`` is of the split and not of what there is to split.
            return cached_sample(type(self).draw_sample, 0)
        return expand(self.data_dir)

    def prepare_data(self) -> None:
        """Draw the sample if it is asked for.

        Raises:
            DataError: the folder of this stage is not there.
        """
        option, given = self._source()
        if given is None:
            log.warning("SAMPLE DATA: synthetic images drawn by this project, not real ones")
            _ = self.folder
        elif not expand(given).exists():
            raise DataError(f"{expand(given)}: no such folder ({option})")

    def train_dataloader(self) -> DataLoader:
        return self.train_loader(self.train_set)

    def val_dataloader(self) -> Any:
        """Of the held-out images; none at all where `trains_on_all`."""
        return [] if self.val_set is None else self.eval_loader(self.val_set)

    def test_dataloader(self) -> DataLoader:
        return self.eval_loader(self.test_set)

    def predict_dataloader(self) -> DataLoader:
        """Of what can be read; the rest goes to ``skipped``."""
        self.skipped = []
        return self.eval_loader(self.predict_set, skipped=self.skipped)

    def train_loader(self, dataset: Any) -> DataLoader:
        """Batches in an order that ``seed`` and the epoch alone decide: a resumed run repeats it.

        Lightning calls the sampler's ``set_epoch``. Over several processes the last few samples
        are repeated to make the shares equal, as gradient synchronization needs.
        """
        return self._loader(dataset, training=True)

    def eval_loader(self, dataset: Any, skipped: list[Unreadable] | None = None) -> DataLoader:
        """Batches of each item once, in order, over all processes, so that metrics are exact.

        Args:
            dataset: one of this module's data sets.
            skipped: see `ImageLoader`.
        """
        return self._loader(dataset, training=False, skipped=skipped)

    def in_precision(self, batch: Any) -> Any:
        """A batch whose floating-point tensors have the type of the trainer's precision."""
        return batch if self.trainer is None else self.trainer.precision_plugin.convert_input(batch)

    def _loader(self, dataset: Any, training: bool, **options: Any) -> DataLoader:
        trainer = self.trainer
        processes, rank = (trainer.world_size, trainer.global_rank) if trainer else (1, 0)
        shuffled: Any = DistributedSampler(dataset, processes, rank, seed=self.seed)
        in_memory = getattr(dataset, "in_memory", isinstance(dataset, StackDataset))
        workers = 0 if in_memory else self.num_workers
        safe = SafeDataset(dataset, self.train_collate_fn if training else self.collate_fn)
        return ImageLoader(
            safe,
            **options,
            batch_size=self.batch_size if training else self.eval_batch_size,
            sampler=shuffled if training else range(rank, len(dataset), processes),
            num_workers=workers,
            # Started anew, each imports torch again; forked, that costs nothing.
            persistent_workers=workers > 0 and multiprocessing.get_start_method() != "fork",
            collate_fn=safe.collate,
            # Else a new iterator draws from the global one, and a resumed run makes one less.
            generator=torch.Generator(),
            # What is in memory may lie on the GPU already.
            pin_memory=torch.cuda.is_available() and not in_memory,
        )
