"""Fundus photographs alone, for reconstruction."""

from collections.abc import Sequence
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch.utils.data import Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import BatchSize, FoldCount, ImageSide, Seed
from datamodules.base import ImageDataModule
from datamodules.cached_dataset import CachedDataset
from datamodules.drive import split_of, test_split
from datamodules.folds import Fold
from datamodules.fundus_batches import collate
from datamodules.fundus_files import FundusFiles, plain_images
from datamodules.images import read_image
from datamodules.preprocessing import photograph_input
from datamodules.synthetic.drive import draw_sample
from datamodules.transforms import Augmentation


class PhotographDataset(Dataset[dict[str, Any]]):
    """RGB photographs as network input.

    Items are ``image`` float32 ``(3, H, W)`` in [-1, 1], ``native_size``, ``name`` and ``index``.

    Args:
        files: of each photograph.
        size: squash to size x size px; None keeps the native size.
    """

    def __init__(self, files: Sequence[FundusFiles], size: int | None) -> None:
        self.files, self.size = list(files), size

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].name

    def __getitem__(self, index: int) -> dict[str, Any]:
        pixels = read_image(self.files[index].image, "RGB")
        native = torch.tensor(pixels.shape[-2:])
        image = photograph_input(pixels, self.size)
        return {"image": image, "native_size": native, "name": self.name(index), "index": index}


def collate_reconstruction(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As `collate`, with the image as its own ``target``."""
    batch = collate(items)
    return {**batch, "target": batch["image"]}


class DRIVEReconstructionDataModule(ImageDataModule):
    """Fundus photographs in color, normalized with mean and standard deviation 0.5; no masks.

    Batches hold ``image`` float32 ``(N, 3, H, W)`` in [-1, 1], which is the ``target`` too, H and W
    multiples of 32, ``name`` and ``index``; those of whole images further ``input_size`` int64
    ``(N, 2)``, before padding to that, and ``native_size`` of the file.

    Args:
        data_dir: photographs, or a folder in one of the layouts of `datamodules.fundus_files`; null
            is the built-in sample.
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
        size: squash to size x size px, as the reference does; null keeps the native size.
        augmentation: how training images vary at random, on the device; null: not at all.
        crops_per_image: how often an image is seen in one epoch.

    Raises:
        DataError: from ``prepare_data`` and ``setup``, for a layout or an image it cannot use.
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
        size: ImageSide | None = 512,
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
            collate_fn=collate_reconstruction,
            # Whole pictures that are going to be cut need not be stacked before.
            train_collate_fn=list if augmentation else collate_reconstruction,
        )
        self.save_hyperparameters()
        self.recursive, self.val_size, self.size = recursive, val_size, size
        self.augmentation, self.crops_per_image = augmentation, crops_per_image

    def setup(self, stage: str) -> None:
        if stage == "predict":
            self.predict_set = PhotographDataset(self._predict_files(), self.size)
        elif stage == "test":
            self.test_set = PhotographDataset(self._test_files(), self.size)
        else:
            train, val = split_of(self, self.val_size, stage)
            self.val_set = PhotographDataset(val, self.size) if val else None
            if stage == "fit":
                train_set = PhotographDataset(train, self.size)
                self.train_set = CachedDataset(
                    train_set, self.crops_per_image, device=self.cache_device
                )

    def _test_files(self) -> list[FundusFiles]:
        test = test_split(self)
        if test is None:
            raise DataError(f"{self.folder}: no test images; give --data.test_dir or predict_dir")
        return test

    def _predict_files(self) -> list[FundusFiles]:
        if self.predict_dir is None:
            return self._test_files()
        return plain_images(expand(self.predict_dir), self.recursive)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw."""
        if self.augmentation is None or not isinstance(batch, list):
            return self.in_precision(batch)
        image = torch.stack([self.augmentation(item["image"].float()) for item in batch])
        index = torch.tensor([item["index"] for item in batch])
        names = [item["name"] for item in batch]
        return self.in_precision({"image": image, "target": image, "name": names, "index": index})
