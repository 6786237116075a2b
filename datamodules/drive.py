"""Fundus photographs by split: what segmentation and reconstruction have in common."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch.utils.data import Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import BatchSize, FoldCount, Seed
from datamodules.base import ImageDataModule
from datamodules.cached_dataset import CachedDataset
from datamodules.folds import ALL, Fold, fold_split
from datamodules.fundus_files import FundusFiles, FundusSet, find_photographs, plain_images
from datamodules.fundus_input import collate
from datamodules.synthetic.drive import draw_sample
from datamodules.transforms import Augmentation

TEST_SHARE = 0.2  # of the persons, where no test photographs are given

Files = list[FundusFiles]


def _by_person(files: Files) -> list[Files]:
    persons: dict[str, Files] = {}
    for one in files:
        persons.setdefault(one.person, []).append(one)
    return list(persons.values())


def _draw(files: Files, count: int, seed: int) -> tuple[Files, Files]:
    """The rest, and ``count`` photographs or a few more: both eyes of a person stay together."""
    persons, drawn = _by_person(files), set[FundusFiles]()
    for person in torch.randperm(len(persons), generator=torch.Generator().manual_seed(seed)):
        if len(drawn) < count:
            drawn.update(persons[int(person)])
    return [one for one in files if one not in drawn], [one for one in files if one in drawn]


def read_splits(folder: Path, seed: int) -> FundusSet:
    """`find_photographs`, with test photographs drawn where no split is given."""
    found = find_photographs(folder)
    if "undivided" not in found.splits:
        return found
    every = found.splits["undivided"]
    share = max(1, round(TEST_SHARE * len(every)))
    training, test = _draw(every, share, seed) if len(every) > 2 else (every, every)
    return FundusSet(f"{found.layout}; no given split", {"training": training, "test": test})


def training_split(
    folder: Path, val_size: int, seed: int, folds: int | None = None, fold: Any = None
) -> tuple[Files, Files]:
    """Training and validation images, those that are given or ``val_size`` drawn by ``seed``.

    With ``folds``, the part ``fold`` of so many in place of ``val_size`` images; with fold "all"
    none.

    Raises:
        DataError: no training folder, or too few images in it.
    """
    layout, splits = read_splits(folder, seed)
    files, own = splits.get("training"), splits.get("validation", [])
    if files is None:
        raise DataError(f"{folder}: training photographs are not there, only {layout}")
    if fold == ALL:
        return [*files, *own], []
    if folds is not None:
        persons = _by_person([*files, *own])
        parts = fold_split(folder, folds, fold, seed, len(persons))
        train, val = ([one for i in part for one in persons[i]] for part in parts)
        return train, val
    if own:
        return files, own
    if not 0 < val_size < (count := len(_by_person(files))):
        raise DataError(
            f"{folder}: {len(files)} training images of {count} persons, so data.val_size is 1 "
            f"to {count - 1}, not {val_size}"
        )
    return _draw(files, val_size, seed)


class FundusDataset(Dataset[dict[str, Any]]):
    """Photographs as network input, with ``name`` and ``index`` beside it.

    Args:
        files: of each photograph.
        read: makes the rest of an item from one of these.
    """

    def __init__(
        self, files: Sequence[FundusFiles], read: Callable[[FundusFiles], dict[str, Any]]
    ) -> None:
        self.files, self.read = list(files), read

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The photograph's file name."""
        return self.files[index].name

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.read(self.files[index]), "name": self.name(index), "index": index}


class FundusDataModule(ImageDataModule):
    """Options and splits of photographs. Subclasses build data sets in ``setup``.

    Args:
        data_dir: a folder in one of the layouts of `datamodules.fundus_files`; null is the built-in
            sample.
        test_dir: photographs for ``test``, such as another camera's; null takes the test images.
        predict_dir: a plain folder of photographs, or one of them, for ``predict``; null takes the
            test images.
        recursive: predict the images in the folders below ``predict_dir`` too.
        batch_size: of training; evaluation takes one image at a time, for sizes may differ.
        num_workers: processes that decode.
        val_size: how many of the training images are kept for validation.
        folds: cut the training images into so many parts instead; null takes ``val_size``.
        fold: the part that is kept for validation, from 0; "all" trains on every image.
        seed: of that choice and of the training order.
        augmentation: how training images vary at random, on the device; null: not at all.
        crops_per_image: how often an image is seen in one epoch.

    Raises:
        DataError: from ``prepare_data`` and ``setup``, for a layout, image or mask it cannot use.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        test_dir: str | None = None,
        predict_dir: str | None = None,
        recursive: bool = False,
        batch_size: BatchSize = 1,
        num_workers: NonNegativeInt = 0,
        val_size: PositiveInt = 4,
        folds: FoldCount | None = None,
        fold: Fold | None = None,
        seed: Seed = 42,
        augmentation: Augmentation | None = None,
        crops_per_image: PositiveInt = 1,
    ) -> None:
        super().__init__(
            draw_sample,
            data_dir,
            predict_dir,
            test_dir=test_dir,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            folds=folds,
            fold=fold,
            collate_fn=collate,
            # Whole pictures that are going to be cut need not be stacked before.
            train_collate_fn=list if augmentation else collate,
        )
        self.save_hyperparameters()
        self.recursive, self.val_size = recursive, val_size
        self.augmentation, self.crops_per_image = augmentation, crops_per_image

    def _training_files(self, stage: str) -> tuple[Files, Files]:
        """`training_split` by the options; the log says what was understood."""
        self.refuse_to_score_all(stage)
        split = training_split(self.folder, self.val_size, self.seed, self.folds, self.fold)
        layout, splits = read_splits(self.folder, self.seed)
        counts = "%d training, %d validation and %d test images"
        counts %= (*map(len, split), len(splits.get("test", [])))
        rank_zero_info(f"{self.data_source}: {layout}; {counts}{self.split_description}")
        return split

    def _test_files(self) -> Files:
        """The test images, none where there are none; all of ``test_dir`` that has no split."""
        if self.trainer is None or self.trainer.state.fn != "test" or self.test_dir is None:
            return read_splits(self.folder, self.seed).splits.get("test", [])
        layout, splits = find_photographs(expand(self.test_dir))
        split = next(name for name in ("test", "undivided", "training") if name in splits)
        files = splits[split]
        rank_zero_info(f"{self.test_dir}: {layout}; {split}, {len(files)} test images")
        return files

    def _unseen_files(self) -> Files:
        """What ``predict`` or ``test`` is asked for."""
        if self.trainer and self.trainer.state.fn == "predict" and self.predict_dir is not None:
            return plain_images(expand(self.predict_dir), self.recursive)
        if not (files := self._test_files()):
            raise DataError(f"{self.folder}: no test images; give --data.test_dir or predict_dir")
        return files

    def _cached(self, dataset: FundusDataset) -> CachedDataset:
        return CachedDataset(dataset, self.crops_per_image, device=self.cache_device)
