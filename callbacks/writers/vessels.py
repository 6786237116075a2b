"""Vessel maps of fundus photographs."""

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_stem
from experiment.atomic import write_images, write_table
from lit_models.postprocessing.vessel_measures import MEASURES, measure_vessels


class VesselWriter(PredictionWriter):
    """Files for each photograph, at its native size.

    ``<stem>_mask.png`` is 255 where the probability is above the model's threshold, else 0;
    ``<stem>_probability.png`` is 16-bit gray, probability = value / 65535;
    ``<stem>_uncertainty.png``, with test-time augmentation, the standard deviation of the views in
    the same units; ``<stem>_traced.png``, like the mask, what was measured.
    ``predictions.csv`` has the share of vessel pixels, ``vessels.csv`` the measures of each
    photograph and its quadrants, see `MeasuredVessels`.
    """

    columns = ("ID", "mask", "probability", "vessel_fraction")

    def write(self, folder: Path, prediction: dict[str, Any], pl_module: Any) -> list[Row]:
        """The maps of each photograph."""
        rows: list[Row] = []
        kinds = [kind for kind in ("probability", "uncertainty") if kind in prediction]
        for i, name in enumerate(prediction["name"]):
            maps = {kind: prediction[kind][i].float().cpu().numpy() for kind in kinds}
            settings = pl_module.inference
            vessel = maps["probability"] > settings.threshold
            fov = prediction["fov"][i].cpu().numpy()
            sharpness = prediction["sharpness"][i]
            measured = measure_vessels(
                maps["probability"], fov, settings.threshold, settings.centerline, sharpness
            )
            masks = {"mask": vessel, "traced": measured.traced}
            pictures = {kind: mask.astype(np.uint8) * 255 for kind, mask in masks.items()} | {
                kind: np.rint(values * 65535).astype(np.uint16) for kind, values in maps.items()
            }
            stem = output_stem(name)
            write_images(folder, {f"{stem}_{kind}.png": x for kind, x in pictures.items()})
            files = [f"{stem}_{kind}.png" for kind in ("mask", "probability")]
            quality = " ".join(measured.quality)
            table = [
                (name, region, *(f"{value:.5g}" for value in astuple(measures)), quality)
                for region, measures in measured.regions.items()
            ]
            rows.append((name, *files, f"{vessel.mean():.5f}", table))
        return rows

    def write_tables(self, folder: Path, rows: list[Row], pl_module: Any) -> None:
        """Write ``predictions.csv`` and ``vessels.csv``."""
        super().write_tables(folder, [row[:-1] for row in rows], pl_module)
        columns = ("ID", "region", *MEASURES, "quality")
        write_table(folder / "vessels.csv", columns, [line for row in rows for line in row[-1]])
