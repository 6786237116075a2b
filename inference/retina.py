"""Copies of fundus photographs."""

from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from common.ranges import ImageSide
from datamodules.preprocessing import photograph_input
from inference.model import Item, Model, Values, channels_first
from inference.results import RetinaResult
from inference.vessels import VesselModel
from lit_models.postprocessing.pixels import native_images, to_uint8_image, to_unit


class RetinaModel(Model[RetinaResult]):
    """Copies of photographs; see `load`."""

    average = staticmethod(lambda images: images.mean(dim=0))
    sample = "datamodules.synthetic.drive"
    example_inputs = staticmethod(VesselModel.example_inputs)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        size = self.trained.data["size"]
        self.size = None if size is None else int(ImageSide(size))

    def preprocess(self, pixels: Tensor) -> Tensor:
        return photograph_input(pixels, self.size)

    def run(self, items: Sequence[Item]) -> Iterable[Values]:
        from lit_models.metrics.image_scores import image_scores  # torchmetrics takes a second

        for item in items:  # one by one: each has its own size
            images = item["image"][None].to(self.device)
            copy = self.network(images).float()
            image = to_uint8_image(native_images(copy, item["shown"][0].size[::-1]))[0].numpy()
            yield {"image": image, **image_scores(to_unit(copy), to_unit(images))}

    @classmethod
    def result(cls, card: Values, item: Item, outputs: Values) -> RetinaResult:
        copy, scores = Image.fromarray(outputs["image"]), (outputs["psnr"], outputs["ssim"])
        return RetinaResult(item["name"], item["shown"][0], copy, *map(float, scores))

    def card(self) -> dict[str, Any]:
        tables = {"predictions": ["ID", "image", "psnr", "ssim"]}
        return {"mode": "RGB", "size": self.size, "tables": tables}

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """The copy, uint8 ``(N, H, W, 3)``, and its scores at the network's size ``(N,)``."""
        from lit_models.metrics.image_scores import ssim

        images = self.preprocess(channels_first(pixels))
        copy = self.network(images).float()
        image = to_uint8_image(native_images(copy, pixels.shape[1:3]))
        copy, truth = to_unit(copy), to_unit(images)
        psnr = -10 * (copy - truth).square().mean(dim=(1, 2, 3)).log10()
        return {"image": image, "psnr": psnr, "ssim": ssim(copy, truth)}
