"""Fundus photographs with their drawn vessels, for segmentation."""

import logging
from dataclasses import replace
from typing import Any

import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_info

from common.errors import DataError
from datamodules.drive import FundusDataModule, FundusDataset
from datamodules.fundus_files import LAYOUTS, FundusFiles
from datamodules.fundus_input import FundusInput
from datamodules.fundus_masks import read_masks
from datamodules.images import read_image

log = logging.getLogger(__name__)


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
        masks = [torch.cat([item["target"], item["fov"]]).float() for item in batch]
        images, mask = self.augmentation.batch(
            [item["image"].float() for item in batch],
            masks,
            [item["fov_pixels"] for item in batch],
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
