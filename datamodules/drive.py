"""Fundus photographs, for segmentation of their vessels and for reconstruction."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from pytorch_lightning.utilities.rank_zero import rank_zero_info
from torch.utils.data import Dataset

from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide
from datamodules.base import ImageDataModule
from datamodules.cached_dataset import CachedDataset
from datamodules.fundus_files import LAYOUTS, FundusFiles, find_photographs, plain_images
from datamodules.fundus_input import FundusInput, collate
from datamodules.fundus_masks import read_masks
from datamodules.fundus_splits import Files, read_splits, training_split
from datamodules.images import read_image
from datamodules.preprocessing import photograph_input
from datamodules.synthetic.drive import draw_sample

log = logging.getLogger(__name__)


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
        recursive: predict the images in the folders below ``predict_dir`` too.
        val_size: how many of the training images are kept for validation, if not by ``folds``.
        seed: of that choice and of the training order.
        crops_per_image: how often an image is seen in one epoch.
        **kwargs: see `ImageDataModule`; evaluation takes one image at a time, for sizes may differ.

    Raises:
        DataError: see `ImageDataModule`; also for a mask it cannot use.
    """

    draw_sample = draw_sample

    def __init__(
        self,
        *args: Any,
        recursive: bool = False,
        val_size: PositiveInt = 4,
        seed: NonNegativeInt = 42,
        crops_per_image: PositiveInt = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, seed=seed, **kwargs)
        self.eval_batch_size, self.collate_fn = 1, collate
        # Whole pictures that are going to be cut need not be stacked before.
        self.train_collate_fn = list if self.augmentation else collate
        self.recursive, self.val_size = recursive, val_size
        self.crops_per_image = crops_per_image

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

    def __init__(self, *args: Any, inputs: FundusInput = FundusInput(), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.inputs = inputs

    def setup(self, stage: str) -> None:
        """Build the data sets; every file is read once here, so that a bad one stops us here.

        Raises:
            DataError: see `find_photographs`, `read_masks`; no drawn vessels where they are needed.
        """
        if stage == "predict":
            files = [replace(one, vessels=None) for one in self._unseen_files()]
            self.predict_set = FundusDataset(files, self.inputs.read)
            return
        test = self._test_files() if stage == "test" else []
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
        train, val = self._training_files(stage)
        if train[0].vessels is None:
            raise DataError(f"{self.folder}: no drawn vessels to train on; expected {LAYOUTS}")
        self.val_set = self.test_set = self._checked(val) if val else None
        if stage == "fit":
            self.train_set = self._cached(FundusDataset(train, self.inputs.read))

    def _checked(self, files: list[FundusFiles]) -> FundusDataset:
        for one in files:
            read_masks(one, read_image(one.image, "L").shape[-2:])
        if files[0].fov is None:
            rank_zero_info(
                "%s: no FOV masks, so scores are of the full image only", self.data_source
            )
        return FundusDataset(files, self.inputs.read)

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
        self.size = size

    def setup(self, stage: str) -> None:
        """Build the data sets of a stage.

        Raises:
            DataError: see `find_photographs`; no test images.
        """
        if stage in ("predict", "test"):
            self.predict_set = self.test_set = FundusDataset(self._unseen_files(), self._read)
        else:
            train, val = self._training_files(stage)
            self.val_set = FundusDataset(val, self._read) if val else None
            if stage == "fit":
                self.train_set = self._cached(FundusDataset(train, self._read))

    def _read(self, files: FundusFiles) -> dict[str, Any]:
        pixels = read_image(files.image, "RGB")
        image = photograph_input(pixels, self.size)
        return {"image": image, "native_size": torch.tensor(pixels.shape[-2:])}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> dict[str, Any]:
        """Augment training images, each by its own draw; an image is its own target."""
        if isinstance(batch, list):
            assert self.augmentation is not None
            image = torch.stack([self.augmentation(item["image"].float()) for item in batch])
            index = torch.tensor([item["index"] for item in batch])
            batch = {"image": image, "name": [item["name"] for item in batch], "index": index}
        return self.in_precision({**batch, "target": batch["image"]})
