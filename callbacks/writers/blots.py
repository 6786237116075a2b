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
from lit_models.postprocessing.blot_bands import Band, band_regions, measure_bands

HEADERS = {
    "styles": ("image", *NAMES),
    "bands": ("image", "mask", "number", *Band._fields, *NAMES),
}


class BlotWriter(PredictionWriter):
    """``<stem>.png``, 8-bit gray or color, for each pair of templates, named as the first one.

    Of several blots of a pair ``<stem>_1.png`` and so on. Their text chunks say that they are
    synthetic, and name model and seed. ``predictions.csv`` lists them.

    Of a `StyledBlotGAN` also ``styles.csv``, in the units of `datamodules.blot_style`, and the
    bands as they are known before the grain: ``<stem>_bands.png`` has the number of its band at
    each pixel, 0 for paper, and ``bands.csv`` what `measure_bands` gives for each.
    """

    columns = ("ID", "image")

    def __init__(self) -> None:
        super().__init__()
        self._more: list[tuple[int, str, Row]] = []  # rows of `HEADERS`

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_start(trainer, pl_module)
        self._more = []

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The blot of each pair."""
        files = list[str]()
        for i, name in enumerate(prediction["name"]):
            sample = int(prediction["sample"][i]) if "sample" in prediction else 0
            stem = output_stem(name) + (f"_{sample}" if sample else "")
            text = {"Comment": "synthetic, not the result of an experiment"}
            text["Source"] = f"{type(pl_module).__name__}, {pl_module.trainer.ckpt_path}"
            if "seed" in prediction:
                text["Seed"] = str(int(prediction["seed"][i]))
            image = np.array(to_pil_image(prediction["image"][i].cpu()))
            write_images(folder, {f"{stem}.png": image}, text)
            if "style" in prediction:
                self._write_bands(folder, stem, {k: v[i] for k, v in prediction.items()})
            files.append(f"{stem}.png")
        return list(zip(prediction["name"], files, strict=True))

    def _write_bands(self, folder: Path, stem: str, blot: dict[str, Any]) -> None:
        index, style = int(blot["index"]), [f"{value:.4g}" for value in blot["style"].tolist()]
        regions = band_regions(blot["bands"].cpu().numpy(), float(blot["style"][4]))
        mask = f"{stem}_bands.png"
        write_images(folder, {mask: regions.astype(np.uint16 if regions.max() > 255 else np.uint8)})
        self._more.append((index, "styles", (f"{stem}.png", *style)))
        for number, band in enumerate(measure_bands(blot["clean"].cpu().numpy(), regions), start=1):
            measured = (*band[:-1], f"{band.density:.1f}")
            self._more.append((index, "bands", (f"{stem}.png", mask, number, *measured, *style)))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_predict_end(trainer, pl_module)
        rows = sorted(gather(trainer, self._more), key=lambda row: row[0])
        for table, header in HEADERS.items() if trainer.is_global_zero and rows else ():
            own = [row for _, name, row in rows if name == table]
            write_table(run_folder(trainer) / f"{table}.csv", header, own)
