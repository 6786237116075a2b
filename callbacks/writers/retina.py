"""Reconstructed fundus photographs."""

from collections.abc import Iterator
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

    headers = {"predictions": ("ID", "image", "psnr", "ssim")}

    def write(
        self, folder: Path, prediction: dict[str, Any], pl_module: Any
    ) -> Iterator[tuple[int, str, Row]]:
        """The copy of each photograph."""
        for i, name in enumerate(prediction["name"]):
            file = f"{output_stem(name)}.png"
            write_images(folder, {file: to_uint8_image(prediction["image"][i]).numpy()})
            psnr, ssim = prediction["psnr"][i], prediction["ssim"][i]
            yield i, "predictions", (name, file, f"{psnr:.4f}", f"{ssim:.5f}")
