"""Western blots with their two templates, in the layout of the course set.

<data_dir>/wb_dataset/bg_0001.png                 the blot
<data_dir>/wb_template/BandMask_bg_0001.png       template 1: where the bands are
<data_dir>/wb_template2/BasePattern_bg_0001.png   template 2: the bands straightened to rectangles
<data_dir>/groups.csv                             ID,membrane   optional
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import BatchSize, FoldCount, ImageSide, Seed
from datamodules.base import ImageDataModule
from datamodules.blot_files import Triple, assign_folds, find_triples, read_groups
from datamodules.cached_dataset import CachedDataset
from datamodules.folds import Fold
from datamodules.images import read_image
from datamodules.preprocessing import blot_input
from datamodules.synthetic.blots import draw_sample
from datamodules.transforms import Augmentation


class BlotDataset(Dataset[dict[str, Any]]):
    """Blots with their templates.

    Items are ``image``, both templates, float32 ``(2, size, size)``, and ``target`` ``(1, size,
    size)`` in [-1, 1], zeros where it is missing; ``name``, the first template's, and ``index``.

    Args:
        triples: the files.
        size: side in px that images are resized to; None keeps their own.
    """

    def __init__(self, triples: Sequence[Triple], size: int | None) -> None:
        self.triples = list(triples)
        self.size = size

    def __len__(self) -> int:
        return len(self.triples)

    def name(self, index: int) -> str:
        return self.triples[index].template1.name

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels = blot_input(read_triple(self.triples[index]), self.size)
        target = pixels[2:] if len(pixels) == 3 else torch.zeros_like(pixels[:1])
        return {"image": pixels[:2], "target": target, "name": self.name(index), "index": index}


def read_triple(triple: Triple) -> Tensor:
    """Templates and, if there is one, target, uint8 ``(2 or 3, H, W)``.

    Raises:
        DataError: an unreadable file, members that differ in shape, a template that is the target.
    """
    paths = [path for path in triple[1:] if isinstance(path, Path)]
    images = [read_image(path, "L") for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != images[0].shape:
            size, expected = (f"{i.shape[2]}x{i.shape[1]}" for i in (image, images[0]))
            raise DataError(
                f"{path}: is {size} pixels but {paths[0]} is {expected}; "
                "the members of a triple must have one shape"
            )
    for path, template in zip(paths[:2], images[:2], strict=True):
        if len(images) == 3 and torch.equal(template, images[2]) and template.unique().numel() > 1:
            raise DataError(f"{path}: the same picture as {paths[2]}; a template is not the blot")
    return torch.cat(images)


class BlotDataModule(ImageDataModule):
    """Training, held-out and prediction batches of blots with their two templates.

    Batches hold ``image`` float32 ``(N, 2, size, size)``, both templates, and ``target`` ``(N, 1,
    size, size)`` in [-1, 1], ``name`` and ``index``, see `BlotDataset`. The split is into ``folds``
    parts, of which ``fold`` is held out; it is by membrane where ``groups.csv`` is there, for crops
    of one membrane overlap and a random split would leak.

    Args:
        data_dir: folder in the layout above; null draws the built-in, synthetic sample.
        test_dir: folder in the same layout for ``test``; null tests on the held-out fold.
        predict_dir: folder with the two template folders; null predicts the held-out fold.
        target: folder and prefix of the blots, as in ``wb_dataset/``.
        template1: folder and prefix of the first templates, as in ``wb_template/BandMask_``.
        template2: the same for the second.
        size: side in px that images are resized to.
        folds: parts of the split.
        fold: the held-out one, from 0; "all" trains on every triple.
        augmentation: how training triples vary at random, on the device; null: not at all.
        batch_size: training triples in a batch of one process.
        eval_batch_size: the same for validation, test and prediction; it changes no result.
        num_workers: processes that batch; 0 is fastest, for the pixels are in memory.
        seed: of the split and of the training order.

    Raises:
        DataError: a fold that does not exist, one pattern twice; from ``prepare_data`` and
            ``setup``, for files it cannot use.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        test_dir: str | None = None,
        predict_dir: str | None = None,
        target: str = "wb_dataset/",
        template1: str = "wb_template/BandMask_",
        template2: str = "wb_template2/BasePattern_",
        size: ImageSide = 64,
        folds: FoldCount = 5,
        fold: Fold = 0,
        augmentation: Augmentation | None = None,
        batch_size: BatchSize = 1,
        eval_batch_size: BatchSize = 32,
        num_workers: NonNegativeInt = 0,
        seed: Seed = 0,
    ) -> None:
        super().__init__(
            draw_sample,
            data_dir,
            predict_dir,
            test_dir=test_dir,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            seed=seed,
            folds=folds,
            fold=fold,
        )
        self.save_hyperparameters()
        if target in (template1, template2):
            raise DataError(f"data.target: {target} is a template too; a template is not the blot")
        self.target, self.template1, self.template2 = target, template1, template2
        self.size = size
        self.augmentation = augmentation
        self.membrane_of: dict[str, str] = {}  # by stem, once the folds are made

    def make_dataset(self, triples: Sequence[Triple], size: int | None) -> BlotDataset:
        """Items of some of the triples."""
        return BlotDataset(triples, size)

    def setup(self, stage: str) -> None:
        """Build the data sets; all but those of ``predict`` are read here and kept in memory.

        Raises:
            DataError: see `find_triples`, `read_groups` and `read_triple`; too few membranes.
        """
        if stage == "predict" and self.predict_dir is not None:
            root = expand(self.predict_dir)
            triples = find_triples(root, self.template1, self.template2, None)
            self.predict_set = self.make_dataset(triples, self.size)
        elif stage == "test" and self.test_dir is not None:
            triples = self._triples(expand(self.test_dir))
            self.test_set = self._cached(triples)
        else:
            self.refuse_to_score_all(stage)
            train, held_out = self._split()
            if stage == "fit":
                self.train_set = self._cached(train)
            if stage == "test":
                rank_zero_info("the held-out fold, which chose the checkpoint, is not a test set")
            if held_out:
                self.val_set = self._cached(held_out)
            self.test_set = self.predict_set = self.val_set

    def _cached(self, triples: Sequence[Triple]) -> CachedDataset:
        return CachedDataset(self.make_dataset(triples, self.size), device=self.cache_device)

    def _triples(self, root: Path) -> list[Triple]:
        return find_triples(root, self.template1, self.template2, self.target)

    def _split(self) -> tuple[list[Triple], list[Triple]]:
        triples = self._triples(self.folder)
        groups = [triple.stem for triple in triples]
        table = self.folder / "groups.csv"
        if table.is_file():
            groups = read_groups(table, groups)
        self.membrane_of = {t.stem: group for t, group in zip(triples, groups, strict=True)}
        if self.trains_on_all:
            rank_zero_info("%d training triples%s", len(triples), self.split_description)
            return triples, []
        assert self.folds is not None
        if len(set(groups)) < self.folds:
            kind = "membranes" if table.is_file() else "triples"
            raise DataError(
                f"{self.folder}: {len(set(groups))} {kind} do not fill {self.folds} folds; "
                "lower data.folds or add data"
            )
        fold_of = assign_folds(groups, self.folds, self.seed)
        held_out = [triples[i] for i in np.flatnonzero(fold_of == self.fold)]
        train = [triples[i] for i in np.flatnonzero(fold_of != self.fold)]
        rank_zero_info(
            "%d training and %d held-out triples, split %s",
            len(train),
            len(held_out),
            "by membrane" if table.is_file() else "at random: no groups.csv",
        )
        return train, held_out

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Augment training triples, each by its own draw."""
        if self.augmentation is None or self.trainer is None or not self.trainer.training:
            return batch
        triples = torch.cat([batch["image"], batch["target"]], dim=1)
        pixels = torch.stack([self.augmentation(triple) for triple in triples])
        return {**batch, "image": pixels[:, :2], "target": pixels[:, 2:]}
