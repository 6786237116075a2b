"""Fundus photographs with their drawn vessels, for segmentation."""

import logging
from collections.abc import Sequence
from dataclasses import replace
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
from datamodules.drive import split_of, test_split
from datamodules.folds import Fold
from datamodules.fundus_batches import collate
from datamodules.fundus_files import LAYOUTS, FundusFiles, plain_images
from datamodules.fundus_input import FundusInput
from datamodules.fundus_masks import read_masks
from datamodules.images import read_image
from datamodules.synthetic.drive import draw_sample
from datamodules.transforms import Augmentation

log = logging.getLogger(__name__)


class FundusDataset(Dataset[dict[str, Any]]):
    """Photographs as network input, with ``name`` and ``index`` beside it.

    Args:
        files: of each photograph.
        inputs: how they are read.
    """

    def __init__(self, files: Sequence[FundusFiles], inputs: FundusInput) -> None:
        self.files, self.inputs = list(files), inputs

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        return self.files[index].name

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = self.inputs.read(self.files[index])
        fov_pixels = int(item["fov"].sum())  # here, for a GPU would be waited for
        return {**item, "name": self.name(index), "index": index, "fov_pixels": fov_pixels}


class DRIVESegmentationDataModule(ImageDataModule):
    """Fundus photographs with their drawn vessels.

    Batches hold ``image`` float32 ``(N, C, H, W)``, ``target`` and ``fov`` bool ``(N, 1, H, W)``
    (augmented training targets are float32 from 0 to 1), ``name`` and ``index``; those of
    evaluation further ``input_size``, ``native_size`` int64 ``(N, 2)`` and the lists
    ``native_target``, ``native_fov``, see `FundusInput.read` and `collate`. No ``target`` where no
    vessels are drawn, nor in prediction.

    Args:
        data_dir: a folder in one of the layouts of `datamodules.fundus_files`; null is the built-in
            sample.
        test_dir: photographs with drawn vessels for ``test``, such as another camera's; null takes
            the test images, and where these have no drawings the validation images.
        predict_dir: a plain folder of photographs, or one of them, for ``predict``; null takes the
            test images.
        recursive: predict the images in the folders below ``predict_dir`` too.
        batch_size: of training; evaluation takes one image at a time, for sizes may differ.
        num_workers: processes that decode.
        val_size: how many of the training images are kept for validation.
        folds: cut the training images into so many parts instead; null takes ``val_size``.
        fold: the part that is kept for validation, from 0; "all" trains on every image.
        seed: of that choice and of the training order.
        inputs: how a photograph becomes what the network sees.
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
        inputs: FundusInput = FundusInput(),
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
        self.inputs = inputs
        self.augmentation, self.crops_per_image = augmentation, crops_per_image

    def setup(self, stage: str) -> None:
        """Build the data sets; every file is read once here, so that a bad one stops us here.

        Raises:
            DataError: see `find_photographs`, `read_masks`; no drawn vessels where they are needed.
        """
        if stage == "predict":
            self.predict_set = FundusDataset(self._predict_files(), self.inputs)
            return
        test = test_split(self) if stage == "test" else None
        if test and test[0].vessels is not None:
            self.test_set = self._checked(test)
            return
        if stage == "test" and self.test_dir is not None:
            raise DataError(f"{self.test_dir}: no drawn vessels to score with; expected {LAYOUTS}")
        if stage == "test":
            log.warning(
                "%s: no test images with drawn vessels, so the VALIDATION images are scored, which "
                "chose the checkpoint; --data.test_dir takes others",
                self.data_source,
            )
        train, val = split_of(self, self.val_size, stage)
        if train[0].vessels is None:
            raise DataError(f"{self.folder}: no drawn vessels to train on; expected {LAYOUTS}")
        self.val_set = self.test_set = self._checked(val) if val else None
        if stage == "fit":
            train_set = FundusDataset(train, self.inputs)
            self.train_set = CachedDataset(
                train_set, self.crops_per_image, device=self.cache_device
            )

    def _predict_files(self) -> list[FundusFiles]:
        if self.predict_dir is not None:
            return plain_images(expand(self.predict_dir), self.recursive)
        test = test_split(self)
        if test is None:
            raise DataError(f"{self.folder}: no test images; give --data.predict_dir")
        return [replace(files, vessels=None) for files in test]

    def _checked(self, files: list[FundusFiles]) -> FundusDataset:
        for one in files:
            read_masks(one, read_image(one.image, "L").shape[-2:])
        if files[0].fov is None:
            rank_zero_info(
                "%s: no FOV masks, so scores are of the full image only", self.data_source
            )
        return FundusDataset(files, self.inputs)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw; see the class."""
        if self.augmentation is None or not isinstance(batch, list):
            return self.in_precision(batch)
        masks = [torch.cat([item["target"], item["fov"]]).float() for item in batch]
        counts = [item["fov_pixels"] for item in batch]
        images, mask = self.augmentation.batch(
            [item["image"].float() for item in batch], masks, counts
        )
        made = {
            "image": images,
            "target": mask[:, :1],
            # A pixel that is only partly of the field of view does not count.
            "fov": mask[:, 1:] > 0.99,
            "name": [item["name"] for item in batch],
            "index": torch.tensor([item["index"] for item in batch]),
        }
        return self.in_precision(made)
