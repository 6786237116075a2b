"""Vessel maps as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.callbacks import BasePredictionWriter

from callbacks.atomic import atomic_write


class VesselMapWriter(BasePredictionWriter):
    """Two files for each predicted image ``<stem>``, at its native size, in the run folder.

    ``predictions/<stem>_mask.png`` is 0 or 255 by the model's threshold,
    ``predictions/<stem>_probability.png`` 16-bit gray, probability = value / 65535.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: dict[str, Any],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        folder = self._folder(trainer)
        for name, tensor in zip(prediction["name"], prediction["probability"], strict=True):
            probability = tensor.float().cpu().numpy()
            mask = (probability > pl_module.threshold).astype(np.uint8) * 255  # type: ignore[operator]
            maps = {"mask": mask, "probability": np.rint(probability * 65535).astype(np.uint16)}
            for kind, pixels in maps.items():
                with atomic_write(folder / f"{Path(name).stem}_{kind}.png") as half:
                    Image.fromarray(pixels).save(half)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            print(f"vessel masks and probabilities: {self._folder(trainer)}")

    @staticmethod
    def _folder(trainer: pl.Trainer) -> Path:
        return Path(trainer.default_root_dir) / "predictions"
