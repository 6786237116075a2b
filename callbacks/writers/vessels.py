"""Vessel maps of fundus photographs."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_name
from experiment.atomic import atomic_write


class VesselWriter(PredictionWriter):
    """Files for each photograph, at its native size.

    ``<stem>_mask.png`` is 255 where the probability is above the model's threshold, else 0;
    ``<stem>_probability.png`` is 16-bit gray, probability = value / 65535;
    ``<stem>_uncertainty.png``, with test-time augmentation, the standard deviation of the views in
    the same units. ``predictions.csv`` has the share of vessel pixels.
    """

    columns = ("ID", "mask", "probability", "vessel_fraction")

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The maps of each photograph."""
        rows: list[Row] = []
        kinds = [kind for kind in ("probability", "uncertainty") if kind in prediction]
        for i, name in enumerate(prediction["name"]):
            maps = {kind: prediction[kind][i].float().cpu().numpy() for kind in kinds}
            vessel = maps["probability"] > pl_module.inference.threshold
            pictures = {"mask": vessel.astype(np.uint8) * 255} | {
                kind: np.rint(values * 65535).astype(np.uint16) for kind, values in maps.items()
            }
            for kind, pixels in pictures.items():
                with atomic_write(folder / output_name(name, f"_{kind}.png")) as tmp_path:
                    Image.fromarray(pixels).save(tmp_path)
            files = [output_name(name, f"_{kind}.png") for kind in ("mask", "probability")]
            rows.append((name, *files, f"{vessel.mean():.5f}"))
        return rows
