"""Copies of fundus photographs, and their compression."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from common import limits
from common.errors import DataError
from common.paths import expand
from common.ranges import ImageSide
from datamodules.fundus_batches import collate
from datamodules.images import read_bytes
from datamodules.preprocessing import photograph_input
from inference.inputs import Source, read_pixels
from inference.model import Model
from inference.results import RetinaResult
from lit_models.networks.restored_avif import RestoredAVIF, decode, encode
from lit_models.postprocessing.avif import AVIFInference
from lit_models.postprocessing.pixels import to_uint8_image, to_unit
from lit_models.postprocessing.retina import native_image, reconstruct


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
            copy, _ = reconstruct(self.network, truth, item["name"])
            scored = to_unit(copy).cpu(), to_unit(truth).cpu()
            made = _image(native_image(copy, native))
            results.append(RetinaResult(item["name"], item["shown"], made, *scored))
        return results


class AVIFModel(RetinaModel):
    """Copies of photographs through AVIF files, and these files; see `load` and `RestoredAVIF`.

    `predict` compresses a photograph and restores the copy; an ``.avif`` file it only restores.
    """

    network: RestoredAVIF

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.network.quality = AVIFInference(**(self.trained.model.get("inference") or {})).quality

    def read(self, x: Any, name: str) -> dict[str, Any]:
        opened = getattr(x, "format", None) == "AVIF"  # by Pillow
        return super().read(x, f"{name}.avif" if opened else name)

    def compress(self, x: Source, quality: int | None = None) -> bytes:
        """The AVIF file of one photograph, of the network's input size.

        Args:
            quality: 0 to 100; None takes the checkpoint's.

        Raises:
            DataError: see `predict`; a quality outside of its range.
        """
        quality = self.network.quality if quality is None else quality
        if not 0 <= quality <= 100:
            raise DataError(f"quality: {quality}; give 0 to 100")
        return encode(self.read(x, "image")["image"].as_subclass(Tensor), quality)

    def decompress(self, data: bytes | str | Path) -> Image.Image:
        """The restored copy in an AVIF file, RGB.

        Args:
            data: the file's bytes, or its path.

        Raises:
            DataError: no such file, and what `lit_models.networks.restored_avif.decode` raises.
        """
        data, name = _read(data)
        most = max(self.size**2, limits.RESTORED_PIXELS) if self.size else limits.IMAGE_PIXELS
        decoded = decode(data, name, most)
        with torch.inference_mode(), self.settings.autocast():
            copy = self.network.restore(decoded[None].to(self.settings.device))
        return _image(to_unit(copy)[0])


def _read(data: bytes | str | Path) -> tuple[bytes, str]:
    """The bytes of a compressed file, and its name."""
    if isinstance(data, bytes):
        return data, "the compressed file"
    return read_bytes(expand(data)), str(data)


def _image(unit: Tensor) -> Image.Image:
    return Image.fromarray(to_uint8_image(unit).numpy())
