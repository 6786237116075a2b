"""Generated blots."""

from pathlib import Path
from typing import Any

from PIL import Image

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_name
from experiment.atomic import atomic_write


class BlotWriter(PredictionWriter):
    """``<stem>.png``, 8-bit gray, for each pair of templates, named as the first one.

    ``predictions.csv`` lists them.
    """

    columns = ("ID", "image")

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The blot of each pair."""
        files = [output_name(name, ".png") for name in prediction["name"]]
        for file, (pixels,) in zip(files, prediction["image"].cpu(), strict=True):
            with atomic_write(folder / file) as half:
                Image.fromarray(pixels.numpy()).save(half)
        return list(zip(prediction["name"], files, strict=True))
