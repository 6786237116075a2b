"""Reconstructed fundus photographs."""

from pathlib import Path
from typing import Any

from PIL import Image

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_name
from experiment.atomic import atomic_write
from lit_models.postprocessing.pixels import to_uint8_image


class RetinaWriter(PredictionWriter):
    """``<stem>.png``, 8-bit RGB, of the size of each photograph.

    ``predictions.csv`` has ``psnr`` in dB and ``ssim``, both of the network's input against its
    copy, before that is resized to the photograph's size and rounded to 8 bits.
    """

    columns = ("ID", "image", "psnr", "ssim")

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The copy of each photograph."""
        files = [output_name(name, ".png") for name in prediction["name"]]
        for file, image in zip(files, prediction["image"], strict=True):
            with atomic_write(folder / file) as tmp_path:
                Image.fromarray(to_uint8_image(image).numpy()).save(tmp_path)
        columns = (prediction["name"], files, prediction["psnr"], prediction["ssim"])
        return [(n, f, f"{p:.4f}", f"{s:.5f}") for n, f, p, s in zip(*columns, strict=True)]
