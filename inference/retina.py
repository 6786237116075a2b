"""Copies of fundus photographs."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from common.ranges import ImageSide
from datamodules.fundus_batches import collate
from datamodules.preprocessing import photograph_input
from inference.graph import Graph, channels_first, pixels_example
from inference.inputs import read_pixels
from inference.model import Model
from inference.results import RetinaResult
from lit_models.postprocessing.pixels import native_images, to_uint8_image, to_unit


class RetinaModel(Model[RetinaResult]):
    """Copies of photographs; see `load`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        size = self.trained.data["size"]
        self.size = None if size is None else int(ImageSide(size))

    def read(self, x: Any, name: str) -> dict[str, Any]:
        pixels, name = read_pixels(x, "RGB", name)
        return {
            "image": photograph_input(pixels, self.size),
            "native_size": torch.tensor(pixels.shape[-2:]),
            "name": name,
            "shown": Image.fromarray(pixels.permute(1, 2, 0).numpy()),
        }

    def run(self, items: Sequence[dict[str, Any]]) -> list[RetinaResult]:
        batch = collate(items)
        sizes = zip(batch["input_size"].tolist(), batch["native_size"].tolist(), strict=True)
        images = batch["image"].to(self.settings.device)
        results = []
        for item, image, ((h, w), native) in zip(items, images, sizes, strict=True):
            truth = image[None, :, :h, :w]
            copy = self.network(truth).float()
            scored = to_unit(copy).cpu(), to_unit(truth).cpu()
            made = Image.fromarray(to_uint8_image(native_images(copy, native))[0].numpy())
            results.append(RetinaResult(item["name"], item["shown"], made, *scored))
        return results

    def graph(self) -> Graph:
        return RetinaGraph(self)


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
