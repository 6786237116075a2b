"""Reconstructed fundus photographs."""

from pathlib import Path
from typing import Any

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_stem
from experiment.atomic import write_images
from lit_models.postprocessing.pixels import to_uint8_image


class RetinaWriter(PredictionWriter):
    """``<stem>.png``, 8-bit RGB, of the size of each photograph.

    ``predictions.csv`` has ``psnr`` in dB and ``ssim``, both of the network's input against its
    copy, before that is resized to the photograph's size and rounded to 8 bits.
    """

    columns = ("ID", "image", "psnr", "ssim")

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The copy of each photograph."""
        files = [f"{output_stem(name)}.png" for name in prediction["name"]]
        images = (to_uint8_image(image).numpy() for image in prediction["image"])
        write_images(folder, dict(zip(files, images, strict=True)))
        columns = (prediction["name"], files, prediction["psnr"], prediction["ssim"])
        return [(n, f, f"{p:.4f}", f"{s:.5f}") for n, f, p, s in zip(*columns, strict=True)]
