"""Copies of fundus photographs."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from common.ranges import ImageSide
from datamodules.fundus_input import collate
from datamodules.preprocessing import photograph_input
from inference.examples import example_photographs
from inference.graph import Graph, channels_first, pixels_example
from inference.inputs import read_pixels
from inference.model import Item, Model
from inference.results import RetinaResult
from lit_models.postprocessing.ensemble import mean_of_images
from lit_models.postprocessing.pixels import native_images, reconstruct, to_uint8_image, to_unit


class RetinaModel(Model[RetinaResult]):
    """Copies of photographs; see `load`."""

    average = staticmethod(mean_of_images)
    sample = "datamodules.synthetic.drive"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        size = self.trained.data["size"]
        self.size = None if size is None else int(ImageSide(size))

    def read(self, x: Any, name: str) -> Item:
        pixels, name = read_pixels(x, "RGB", name)
        return {
            "image": photograph_input(pixels, self.size),
            "native_size": torch.tensor(pixels.shape[-2:]),
            "name": name,
            "shown": to_pil_image(pixels),
        }

    def run(self, items: Sequence[Item]) -> list[RetinaResult]:
        batch = collate(items)
        batch["image"] = batch["image"].to(self.settings.device)
        results = []
        for item, (copy, truth) in zip(items, reconstruct(self.network, batch), strict=True):
            made = to_uint8_image(native_images(copy, item["native_size"].tolist()))[0].numpy()
            pair = {"copy": to_unit(copy).cpu(), "truth": to_unit(truth).cpu()}
            results.append(self.result({}, item, {"image": made, **pair}))
        return results

    @classmethod
    def result(
        cls, card: Mapping[str, Any], item: Item, outputs: Mapping[str, Any]
    ) -> RetinaResult:
        image = Image.fromarray(outputs["image"])
        return RetinaResult(item["name"], item["shown"], image, partial(_scores, outputs))

    def card(self) -> dict[str, Any]:
        tables = {"predictions": ["ID", "image", "psnr", "ssim"]}
        return {"mode": "RGB", "size": self.size, "tables": tables}

    def graph(self) -> Graph:
        return RetinaGraph(self)

    def example_inputs(self, folder: Path) -> list[Any]:
        return example_photographs(folder)


def _scores(outputs: Mapping[str, Any]) -> dict[str, float]:
    """PSNR and SSIM, of a graph or of the network's copy."""
    if "copy" not in outputs:
        return {name: float(outputs[name]) for name in ("psnr", "ssim")}
    from lit_models.metrics.image_scores import image_scores  # torchmetrics takes a second

    found = image_scores(outputs["copy"], outputs["truth"])
    return {name: float(value) for name, value in found.items()}


class RetinaGraph(Graph):
    """The copy, uint8 ``(N, H, W, 3)``, and its scores at the network's size ``(N,)``."""

    def __init__(self, model: RetinaModel) -> None:
        super().__init__(model.network)
        self.size = model.size
        self.inputs = {"pixels": pixels_example("RGB")}
        self.outputs = ("image", "psnr", "ssim")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        from lit_models.metrics.image_scores import ssim  # torchmetrics takes a second to import

        images = photograph_input(channels_first(pixels), self.size)
        copy = self.network(images).float()
        image = to_uint8_image(native_images(copy, pixels.shape[1:3]))
        copy, truth = to_unit(copy), to_unit(images)
        psnr = -10 * (copy - truth).square().mean(dim=(1, 2, 3)).log10()
        return image, psnr, ssim(copy, truth)
