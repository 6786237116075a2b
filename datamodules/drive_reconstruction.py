"""Fundus photographs alone, for reconstruction."""

from typing import Any

import torch

from common.ranges import ImageSide
from datamodules.drive import FundusDataModule, FundusDataset
from datamodules.fundus_files import FundusFiles
from datamodules.images import read_image
from datamodules.preprocessing import photograph_input


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
