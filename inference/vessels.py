"""Vessels of fundus photographs, from Python and as an exported graph."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from datamodules.fundus_input import FundusInput, collate
from inference.examples import example_photographs
from inference.graph import Graph, channels_first, pixels_example
from inference.inputs import read_pixels
from inference.model import Item, Model
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
        self.inference = VesselPostprocessor(**(self.trained.model.get("inference") or {}))
        self.fov_only = bool(self.trained.model.get("fov_only", False))

    def read(self, x: Any, name: str) -> Item:
        pixels, name = read_pixels(x, self.inputs.mode, name)
        channels = pixels.permute(1, 2, 0).numpy()
        shown = Image.fromarray(channels[..., 0] if self.inputs.mode == "L" else channels)
        return {**self.inputs.prepare(pixels), "name": name, "shown": shown}

    def run(self, items: Sequence[Item]) -> list[VesselResult]:
        batch = collate(items)
        batch |= {key: batch[key].to(self.settings.device) for key in ("image", "fov")}
        found = self.inference.predict_native(self.network, batch, self.fov_only)
        card = {"threshold": self.inference.threshold, "centerline": self.inference.centerline}
        return [
            self.result(card, item, {kind: maps[i].cpu().numpy() for kind, maps in found.items()})
            for i, item in enumerate(items)
        ]

    @classmethod
    def result(
        cls, card: Mapping[str, Any], item: Item, outputs: Mapping[str, Any]
    ) -> VesselResult:
        probability, uncertainty = outputs["probability"], outputs.get("uncertainty")
        threshold, more = card["threshold"], (card.get("centerline"), item.get("sharpness"))
        name, shown = item["name"], item["shown"]
        return VesselResult(name, shown, probability, threshold, uncertainty, *more)

    def card(self) -> dict[str, Any]:
        return {
            "mode": self.inputs.mode,
            "size": self.inputs.size,
            "diameter": self.inputs.diameter,
            "local_normalization": self.inputs.local_normalization,
            "threshold": self.inference.threshold,
            "centerline": self.inference.centerline,
            "tta": self.inference.tta,
            "scales": list(self.inference.scales),
            "tables": {"predictions": ["ID", "mask", "probability", "vessel_fraction"]},
        }

    def graph(self) -> Graph:
        return VesselGraph(self)

    def example_inputs(self, folder: Path) -> list[Any]:
        return example_photographs(folder)


class VesselGraph(Graph):
    """Probability and, with test-time augmentation, uncertainty ``(N, H, W)``, float32.

    Without tiles, which only save memory. Its input ``fov``, bool ``(N, h, w)`` at the network's
    size, is left out where nothing depends on it.
    """

    def __init__(self, model: VesselModel) -> None:
        super().__init__(model.network)
        self.settings, self.inference, self.fov_only = model.inputs, model.inference, model.fov_only
        settings = self.settings
        self.inputs = {"pixels": pixels_example(settings.mode)}
        needs_fov = settings.local_normalization or settings.diameter or self.fov_only
        if needs_fov or len(self.inference.scales) > 1:
            # Not those of the pixels, with which the graph would resize nothing.
            sides = (61, 75) if settings.size is None else (settings.size, settings.size)
            self.inputs["fov"] = torch.ones(2, *sides, dtype=torch.bool)
            self.fixed = () if settings.size is None else ("fov",)  # type: ignore[misc]
        self.outputs = ("probability", *(["uncertainty"] if self.inference.tta > 1 else []))

    def forward(self, pixels: Tensor, fov: Tensor | None = None) -> tuple[Tensor, ...]:
        images = channels_first(pixels)
        native = size = list(images.shape[-2:])
        if self.settings.size is not None:
            size = [self.settings.size, self.settings.size]
        elif fov is not None:
            size = list(fov.shape[-2:])
        images = resize(images, size, antialias=True)
        inside = torch.ones_like(images[:, :1]) if fov is None else fov[:, None]
        images = self.settings.normalize(images, inside > 0)
        padding = (0, -size[1] % 32, 0, -size[0] % 32)
        images, inside = F.pad(images, padding), F.pad(inside.float(), padding) > 0
        found = self.inference.predict(self.network, images, inside, self.fov_only)
        cropped = [maps[..., : size[0], : size[1]] for maps in found.values()]
        return tuple(resample_maps(maps, native)[:, 0] for maps in cropped)
