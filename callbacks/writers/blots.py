"""Generated blots."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torchvision.transforms.v2.functional import to_pil_image

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_stem
from datamodules.blot_style import NAMES
from experiment.atomic import write_images
from lit_models.postprocessing.blot_bands import Band, band_regions, measure_bands


class BlotWriter(PredictionWriter):
    """``<stem>.png``, 8-bit gray or color, for each pair of templates, named as the first one.

    Of several blots of a pair ``<stem>_1.png`` and so on. Their text chunks say that they are
    synthetic, and name model and seed. ``predictions.csv`` lists them.

    Of a `StyledBlotGAN` also ``styles.csv``, in the units of `datamodules.blot_style`, and the
    bands as they are known before the grain: ``<stem>_bands.png`` has the number of its band at
    each pixel, 0 for paper, and ``bands.csv`` what `measure_bands` gives for each.
    """

    headers = {
        "predictions": ("ID", "image"),
        "styles": ("image", *NAMES),
        "bands": ("image", "mask", "number", *Band._fields, *NAMES),
    }

    def write(
        self, folder: Path, prediction: dict[str, Any], pl_module: Any
    ) -> Iterator[tuple[int, str, Row]]:
        """The blot of each pair."""
        for i, name in enumerate(prediction["name"]):
            sample = int(prediction["sample"][i]) if "sample" in prediction else 0
            stem = output_stem(name) + (f"_{sample}" if sample else "")
            text = {"Comment": "synthetic, not the result of an experiment"}
            text["Source"] = f"{type(pl_module).__name__}, {pl_module.trainer.ckpt_path}"
            if "seed" in prediction:
                text["Seed"] = str(int(prediction["seed"][i]))
            image = np.array(to_pil_image(prediction["image"][i].cpu()))
            write_images(folder, {f"{stem}.png": image}, text)
            yield i, "predictions", (name, f"{stem}.png")
            if "style" in prediction:
                values = prediction["style"][i].tolist()
                style = [f"{value:.4g}" for value in values]
                yield i, "styles", (f"{stem}.png", *style)
                regions = band_regions(prediction["bands"][i].cpu().numpy(), values[4])
                kind, mask = np.uint16 if regions.max() > 255 else np.uint8, f"{stem}_bands.png"
                write_images(folder, {mask: regions.astype(kind)})
                bands = measure_bands(prediction["clean"][i].cpu().numpy(), regions)
                for number, band in enumerate(bands, start=1):
                    measured = (*band[:-1], f"{band.density:.1f}")
                    yield i, "bands", (f"{stem}.png", mask, number, *measured, *style)
