"""Vessels of fundus photographs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from datamodules.fundus_batches import collate
from datamodules.fundus_input import FundusInput
from inference.inputs import read_pixels
from inference.model import Model
from inference.results import VesselResult
from lit_models.postprocessing.vessels import VesselPostprocessor, native_maps


class VesselModel(Model[VesselResult]):
    """Vessel maps of photographs of any size; see `load`.

    Attributes:
        inputs: how a photograph becomes the network's input.
        inference: how the network is asked.
        fov_only: whether nothing outside the field of view is vessel.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.inputs = FundusInput(**(self.trained.data.get("inputs") or {}))
        self.inference = VesselPostprocessor(**(self.trained.model.get("inference") or {}))
        self.fov_only = bool(self.trained.model.get("fov_only", False))

    def read(self, x: Any, name: str) -> dict[str, Any]:
        pixels, name = read_pixels(x, self.inputs.mode, name)
        channels = pixels.permute(1, 2, 0).numpy()
        shown = Image.fromarray(channels[..., 0] if self.inputs.mode == "L" else channels)
        return {**self.inputs.prepare(pixels), "name": name, "shown": shown}

    def run(self, items: Sequence[dict[str, Any]]) -> list[VesselResult]:
        batch = collate(items)
        images, fov = (batch[key].to(self.settings.device) for key in ("image", "fov"))
        found: list[list[np.ndarray]] = []
        for maps in self.inference.predict(self.network, images, fov):
            if maps is not None:
                maps = maps * fov if self.fov_only else maps
                natives = native_maps(maps, batch["input_size"], batch["native_size"])
                found.append([one.float().cpu().numpy() for one in natives])
        threshold, centerline = self.inference.threshold, self.inference.centerline
        uncertain = found[1] if len(found) > 1 else [None] * len(items)
        return [
            VesselResult(
                item["name"], item["shown"], p, threshold, std, centerline, item["sharpness"]
            )
            for item, p, std in zip(items, found[0], uncertain, strict=True)
        ]
