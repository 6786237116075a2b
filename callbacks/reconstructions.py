"""Reconstructed images as PNG files, and how good they are as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.callbacks import BasePredictionWriter

from callbacks.atomic import atomic_write
from callbacks.gather import gather


class ReconstructionWriter(BasePredictionWriter):
    """For each predicted image ``<stem>`` a PNG of its size, and one table, in the run folder.

    ``predictions/<stem>.png`` is 8-bit RGB. ``reconstructions.csv`` has a row an image, by name:
    ``name``, ``psnr`` in dB and ``ssim``, both of the network's input against its copy, before the
    copy is resized to the file's size and rounded to 8 bits.
    """

    def __init__(self) -> None:
        super().__init__(write_interval="batch")
        self._rows: list[tuple[str, float, float]] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._rows = []

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
        for name, image in zip(prediction["name"], prediction["image"], strict=True):
            pixels = (image.float() * 255).round().byte().permute(1, 2, 0).cpu().numpy()
            with atomic_write(self._folder(trainer) / f"predictions/{Path(name).stem}.png") as half:
                Image.fromarray(np.ascontiguousarray(pixels)).save(half)
        columns = (prediction["name"], prediction["psnr"], prediction["ssim"])
        self._rows += zip(*columns, strict=True)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        rows = sorted(gather(trainer, self._rows))
        if not trainer.is_global_zero:
            return
        path = self._folder(trainer) / "reconstructions.csv"
        with atomic_write(path) as half, half.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["name", "psnr", "ssim"])
            writer.writerows([name, f"{psnr:.4f}", f"{ssim:.5f}"] for name, psnr, ssim in rows)
        print(f"{len(rows)} reconstructions: {path.parent / 'predictions'}, {path}")

    @staticmethod
    def _folder(trainer: pl.Trainer) -> Path:
        return Path(trainer.default_root_dir)
