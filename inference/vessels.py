"""Vessels of fundus photographs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from datamodules.fundus_files import find_photographs
from datamodules.fundus_input import FundusInput, collate
from inference.model import Item, Model, Values, channels_first
from inference.results import VesselResult
from lit_models.postprocessing.ensemble import mean_of_pixels
from lit_models.postprocessing.vessels import VesselPostprocessor, resample_maps


class VesselModel(Model[VesselResult]):
    """Vessel maps of photographs of any size; see `load`.

    Attributes:
        inputs: how a photograph becomes the network's input.
        inference: see `VesselPostprocessor`.
        fov_only: whether nothing outside the field of view is vessel.
    """

    average = staticmethod(mean_of_pixels)
    sample = "datamodules.synthetic.drive"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.inputs = FundusInput(**(self.trained.data.get("inputs") or {}))
        self.mode = self.inputs.mode
        self.inference = VesselPostprocessor(**(self.trained.model.get("inference") or {}))
        self.fov_only = bool(self.trained.model.get("fov_only", False))

    def prepare(self, pixels: Tensor) -> Item:
        return self.inputs.prepare(pixels)

    def run(self, items: Sequence[Item]) -> Iterable[Values]:
        batch = collate(items)
        batch |= {key: batch[key].to(self.device) for key in ("image", "fov")}
        found = self.inference.predict_native(self.network, batch, self.fov_only)
        arrays = {kind: [one.cpu().numpy() for one in maps] for kind, maps in found.items()}
        return [{kind: maps[i] for kind, maps in arrays.items()} for i in range(len(items))]

    @classmethod
    def result(cls, card: Values, item: Item, outputs: Values) -> VesselResult:
        name, image, probability = item["name"], item["shown"][0], outputs["probability"]
        more = outputs.get("uncertainty"), card.get("centerline"), item.get("sharpness")
        return VesselResult(name, image, probability, card["threshold"], *more)

    def card(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "size": self.inputs.size,
            "diameter": self.inputs.diameter,
            "threshold": self.inference.threshold,
            "centerline": self.inference.centerline,
            "tables": {"predictions": ["ID", "mask", "probability", "vessel_fraction"]},
        }

    @staticmethod
    def example_inputs(folder: Path) -> list[Any]:
        """Photographs of the test split, or of the only split."""
        splits = find_photographs(folder).splits
        return [files.image for files in splits.get("test") or next(iter(splits.values()))]

    def graph_inputs(self) -> dict[str, Tensor]:
        """With ``fov``, bool ``(N, h, w)`` at the network's size, where anything depends on it."""
        found, settings = super().graph_inputs(), self.inputs
        needs_fov = settings.local_normalization or settings.diameter or self.fov_only
        if needs_fov or len(self.inference.scales) > 1:
            # Not of the pixels' size, with which the graph would resize nothing.
            found["fov"] = torch.ones(2, 71, 91, dtype=torch.bool)
        return found

    def forward(self, pixels: Tensor, fov: Tensor | None = None) -> dict[str, Tensor]:
        """Probability and, with test-time augmentation, uncertainty ``(N, H, W)``, float32.

        Without tiles, which only save memory.
        """
        images = channels_first(pixels)
        native = size = list(images.shape[-2:])
        if fov is not None:
            size = list(fov.shape[-2:])
        elif self.inputs.size is not None:
            size = [self.inputs.size, self.inputs.size]
        images = resize(images, size, antialias=True)
        inside = torch.ones_like(images[:, :1]) if fov is None else fov[:, None]
        images = self.inputs.normalize(images, inside > 0)
        padding = (0, -size[1] % 32, 0, -size[0] % 32)
        images, inside = F.pad(images, padding), F.pad(inside.float(), padding) > 0
        found = self.inference.predict(self.network, images, inside, self.fov_only)
        cropped = {kind: maps[..., : size[0], : size[1]] for kind, maps in found.items()}
        return {kind: resample_maps(maps, native)[:, 0] for kind, maps in cropped.items()}
