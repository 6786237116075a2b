"""Vessel maps of fundus photographs."""

from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from callbacks.writers.prediction_writer import PredictionWriter, Row, output_stem
from datamodules.images import read_image
from experiment.atomic import write_images
from inference.results import marked
from lit_models.postprocessing.vessel_measures import MEASURES, measure_vessels


class VesselWriter(PredictionWriter):
    """Files for each photograph, at its native size.

    ``<stem>_mask.png`` is 255 where the probability is above the model's threshold, else 0;
    ``<stem>_probability.png`` is 16-bit gray, probability = value / 65535;
    ``<stem>_uncertainty.png``, with test-time augmentation, the standard deviation of the views in
    the same units; ``<stem>_traced.png``, like the mask, what was measured;
    ``overlays/<stem>.png`` the photograph with the mask in green.
    ``predictions.csv`` has the share of vessel pixels, ``vessels.csv`` the measures of each
    photograph and its quadrants, see `MeasuredVessels`.
    """

    headers = {
        "predictions": ("ID", "mask", "probability", "vessel_fraction"),
        "vessels": ("ID", "region", *MEASURES, "quality"),
    }

    def write(
        self, folder: Path, prediction: dict[str, Any], pl_module: Any
    ) -> Iterator[tuple[int, str, Row]]:
        """The maps of each photograph."""
        settings, photographs = pl_module.inference, pl_module.trainer.datamodule.predict_set.files
        kinds = [kind for kind in ("probability", "uncertainty") if kind in prediction]
        for i, name in enumerate(prediction["name"]):
            maps = {kind: prediction[kind][i].float().cpu().numpy() for kind in kinds}
            vessel = maps["probability"] > settings.threshold
            measured = measure_vessels(
                maps["probability"],
                prediction["fov"][i].cpu().numpy(),
                settings.threshold,
                settings.centerline,
                prediction["sharpness"][i],
            )
            stem = output_stem(name)
            photograph = read_image(photographs[int(prediction["index"][i])].image, "RGB")
            overlay = marked(Image.fromarray(photograph.permute(1, 2, 0).numpy()), vessel)
            pictures = {f"overlays/{stem}.png": np.asarray(overlay)}
            for kind, mask in (("mask", vessel), ("traced", measured.traced)):
                pictures[f"{stem}_{kind}.png"] = mask.astype(np.uint8) * 255
            for kind, values in maps.items():
                pictures[f"{stem}_{kind}.png"] = np.rint(values * 65535).astype(np.uint16)
            write_images(folder, pictures)
            files = [f"{stem}_{kind}.png" for kind in ("mask", "probability")]
            yield i, "predictions", (name, *files, f"{vessel.mean():.5f}")
            for region, measures in measured.regions.items():
                values = (f"{value:.5g}" for value in astuple(measures))
                yield i, "vessels", (name, region, *values, " ".join(measured.quality))
