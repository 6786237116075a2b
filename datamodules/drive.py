"""Fundus photographs, for segmentation of their vessels and for reconstruction."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jsonargparse.typing import PositiveInt
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch.utils.data import Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide, Seed
from datamodules.base import ImageDataModule
from datamodules.fundus_files import (
    LAYOUTS,
    FundusFiles,
    find_photographs,
    plain_images,
    training_split,
)
from datamodules.fundus_input import FundusInput, collate, read_masks
from datamodules.images import read_image
from datamodules.loader import CachedDataset
from datamodules.preprocessing import photograph_input
from datamodules.synthetic.drive import draw_sample

log = logging.getLogger(__name__)


@dataclass(eq=False)
class FundusDataset(Dataset[dict[str, Any]]):
    """Photographs as network input, with ``name`` and ``index`` beside it.

    Args:
        files: of each photograph.
        read: makes the rest of an item from one of these.
    """

    files: Sequence[FundusFiles]
    read: Callable[[FundusFiles], dict[str, Any]]

    def __len__(self) -> int:
        return len(self.files)

    def name(self, index: int) -> str:
        """The photograph's file name."""
        return self.files[index].name

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.read(self.files[index]), "name": self.name(index), "index": index}


class FundusDataModule(ImageDataModule):
    """Options, splits and data sets of photographs. Subclasses set ``read``, see `FundusDataset`.

    Args:
        recursive: predict the images in the folders below ``predict_dir`` too.
        val_size: how many of the training images are kept for validation, if not by ``folds``.
        seed: of that choice and of the training order.
        crops_per_image: how often an image is seen in one epoch.
        **kwargs: see `ImageDataModule`; evaluation takes one image at a time, for sizes may differ.

    Raises:
        DataError: see `ImageDataModule`; also for a mask it cannot use.
    """

    draw_sample = draw_sample
    read: Callable[[FundusFiles], dict[str, Any]]
    needs_vessels = False  # to train on and to score with

    def __init__(
        self,
        *args: Any,
        recursive: bool = False,
        val_size: PositiveInt = 4,
        seed: Seed = 42,
        crops_per_image: PositiveInt = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, seed=seed, **kwargs)
        self.eval_batch_size, self.collate_fn = 1, collate
        # Whole pictures that are going to be cut need not be stacked before.
        self.train_collate_fn = list if self.augmentation else collate
        self.recursive, self.val_size = recursive, val_size
        self.crops_per_image = crops_per_image

    def setup(self, stage: str) -> None:
        """Build the data sets; files are read here, so that a bad one is found early.

        Raises:
            DataError: see `find_photographs`, `training_split` and `read_masks`; nothing to
                predict; no drawn vessels where they are needed.
        """
        option, given = self._source()
        if option == "predict_dir":
            test = plain_images(expand(str(given)), self.recursive)
        elif option == "test_dir":
            layout, splits = find_photographs(expand(str(given)))
            test = splits.get("test") or [one for files in splits.values() for one in files]
            rank_zero_info(f"{given}: {layout}; {len(test)} test images")
        else:
            layout, splits = find_photographs(self.folder, self.seed)
            test = splits.get("test", [])
        if stage == "predict":
            if not test:
                raise DataError(f"{self.folder}: no test images; give --data.predict_dir")
            self.predict_set = FundusDataset([replace(x, vessels=None) for x in test], self.read)
            return
        scored = [one for one in test if one.vessels or not self.needs_vessels]
        if stage == "test" and scored:
            self.test_set = self._checked(scored)
            return
        if option == "test_dir":
            raise DataError(f"{given}: no drawn vessels to score with; expected {LAYOUTS}")
        if stage == "test":
            log.warning(
                f"{self.data_source}: no test images that can be scored, so the VALIDATION images "
                "are scored, which chose the checkpoint; --data.test_dir takes others"
            )
        self.refuse_to_score_all(stage)
        train, val = training_split(self.folder, self.val_size, self.seed, self.folds, self.fold)
        counts = f"{len(train)} training, {len(val)} validation and {len(test)} test images"
        rank_zero_info(f"{self.data_source}: {layout}; {counts}{self.split_description}")
        if self.needs_vessels and not all(one.vessels for one in [*train, *val]):
            raise DataError(f"{self.folder}: vessels are not drawn for all; expected {LAYOUTS}")
        self.val_set = self.test_set = self._checked(val) if val else None
        if stage == "fit":
            dataset = FundusDataset(train, self.read)
            self.train_set = CachedDataset(dataset, self.crops_per_image, device=self.cache_device)

    def _checked(self, files: list[FundusFiles]) -> FundusDataset:
        for one in files if self.needs_vessels else ():
            read_masks(one, read_image(one.image, "L").shape[-2:])
        return FundusDataset(files, self.read)


class DRIVESegmentationDataModule(FundusDataModule):
    """Fundus photographs with their drawn vessels.

    Batches hold ``image`` float32 ``(N, C, H, W)``, ``target`` and ``fov`` bool ``(N, 1, H, W)``
    (augmented training targets are float32 from 0 to 1), ``name`` and ``index``; those of
    evaluation further ``input_size``, ``native_size`` int64 ``(N, 2)`` and the lists
    ``native_target``, ``native_fov``, see `FundusInput.read` and `collate`. No ``target`` where no
    vessels are drawn, nor in prediction. Where the test images have no drawings, ``test`` takes the
    validation images.

    Args:
        *args: see `FundusDataModule`.
        inputs: how a photograph becomes what the network sees.
        **kwargs: see `FundusDataModule`.
    """

    needs_vessels = True

    def __init__(self, *args: Any, inputs: FundusInput = FundusInput(), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read = inputs.read

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw; see the class."""
        if self.augmentation is None or not isinstance(batch, list):
            return self.in_precision(batch)
        given = {key: [item[key] for item in batch] for key in batch[0]}
        masks = map(torch.cat, zip(given["target"], given["fov"], strict=True))
        pair = [one.float() for one in given["image"]], [one.float() for one in masks]
        images, mask = self.augmentation.batch(*pair, given["fov_pixels"])
        # A pixel that is only partly of the field of view does not count.
        made = {"image": images, "target": mask[:, :1], "fov": mask[:, 1:] > 0.99}
        index = torch.tensor(given["index"])
        return self.in_precision({**made, "name": given["name"], "index": index})


class DRIVEReconstructionDataModule(FundusDataModule):
    """Fundus photographs in color, normalized with mean and standard deviation 0.5; no masks.

    Batches hold ``image`` float32 ``(N, 3, H, W)`` in [-1, 1], which is the ``target`` too, H and W
    multiples of 32, ``name`` and ``index``; those of whole images further ``input_size`` int64
    ``(N, 2)``, before padding to that, and ``native_size`` of the file.

    Args:
        *args: see `FundusDataModule`.
        size: squash to size x size px, as the reference does; null keeps the native size.
        **kwargs: see `FundusDataModule`.
    """

    def __init__(self, *args: Any, size: ImageSide | None = 512, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read = partial(_read_photograph, size=size)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw; an image is its own target."""
        if isinstance(batch, list):
            assert self.augmentation is not None
            image = torch.stack([self.augmentation(item["image"].float()) for item in batch])
            index = torch.tensor([item["index"] for item in batch])
            batch = {"image": image, "name": [item["name"] for item in batch], "index": index}
        return self.in_precision({**batch, "target": batch["image"]})


def _read_photograph(files: FundusFiles, size: int | None) -> dict[str, Any]:
    pixels = read_image(files.image, "RGB")
    native_size = torch.tensor(pixels.shape[-2:])
    return {"image": photograph_input(pixels, size), "native_size": native_size}
