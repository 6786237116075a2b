"""Generated blots."""

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torchvision.transforms.v2.functional import to_pil_image

from callbacks.gather import gather
from callbacks.run_recorder import run_folder
from callbacks.writers.prediction_writer import PredictionWriter, Row, output_stem
from datamodules.blot_style import NAMES
from experiment.atomic import write_images, write_table


class BlotWriter(PredictionWriter):
    """``<stem>.png``, 8-bit gray or color, for each pair of templates, named as the first one.

    Of several blots of a pair ``<stem>_1.png`` and so on. ``predictions.csv`` lists them, and
    ``styles.csv`` their styles, if they have any, in the units of `datamodules.blot_style`.
    """

    columns = ("ID", "image")

    def __init__(self) -> None:
        super().__init__()
        self._styles: list[tuple[int, Row]] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_start(trainer, pl_module)
        self._styles = []

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The blot of each pair."""
        names = prediction["name"]
        samples = prediction["sample"].tolist() if "sample" in prediction else [0] * len(names)
        files = [
            f"{output_stem(name)}_{sample}.png" if sample else f"{output_stem(name)}.png"
            for name, sample in zip(names, samples, strict=True)
        ]
        if "style" in prediction:
            rows = zip(files, prediction["style"].tolist(), strict=True)
            styles = [(file, *(f"{value:.4g}" for value in style)) for file, style in rows]
            self._styles += zip(prediction["index"].tolist(), styles, strict=True)
        images = (np.array(to_pil_image(pixels)) for pixels in prediction["image"].cpu())
        write_images(folder, dict(zip(files, images, strict=True)))
        return list(zip(names, files, strict=True))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_end(trainer, pl_module)
        rows = [row for _, row in sorted(gather(trainer, self._styles))]
        if trainer.is_global_zero and rows:
            write_table(run_folder(trainer) / "styles.csv", ("image", *NAMES), rows)
