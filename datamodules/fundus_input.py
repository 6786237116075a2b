"""From fundus photographs to the input of a segmentation network, one by one and in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from common.errors import DataError
from common.ranges import ImageSide, Pixels
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_masks import read_masks
from datamodules.images import read_image
from datamodules.transforms import fundus
from datamodules.transforms.field_of_view import estimate_fov, network_size


@dataclass(frozen=True)
class FundusInput:
    """How a photograph becomes what the network sees; the same in training and prediction.

    Args:
        channels: "gray" (luminance, 1 channel) or "rgb" (3).
        size: squash to size x size px, as the reference does; null keeps the native size.
        diameter: scale without distortion to this diameter of the field of view in px, so that
            vessels of any camera are as wide as in training; best the training's own diameter, for
            then its photographs stay as they are; not together with ``size``.
        local_normalization: subtract the local mean and divide by the standard deviation inside
            the field of view; the mean's Gaussian has this many px at the network's scale; null
            scales 0..255 to [-1, 1] instead.

    Raises:
        DataError: both ``size`` and ``diameter``.
    """

    channels: Literal["gray", "rgb"] = "gray"
    size: ImageSide | None = 512
    diameter: Pixels | None = None
    local_normalization: Pixels | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.diameter is not None:
            raise DataError(
                f"data.inputs.diameter: {self.diameter:g} beside a size of {self.size}; "
                "set one of them to null"
            )

    @property
    def mode(self) -> Literal["L", "RGB"]:
        """What `prepare` takes: gray or color pixels."""
        return "L" if self.channels == "gray" else "RGB"

    def read(self, files: FundusFiles) -> dict[str, Any]:
        """One photograph and its masks.

        Returns:
            What `prepare` returns; ``fov_pixels``, how many; and at the photograph's size
            ``native_target`` and ``native_fov`` bool ``(1, H, W)``, None where there is no file.

        Raises:
            DataError: see `read_image` and `read_masks`.
        """
        pixels = read_image(files.image, self.mode)
        vessels, drawn_fov = read_masks(files, pixels.shape[-2:])
        item = self.prepare(pixels, vessels, drawn_fov)
        fov_pixels = int(item["fov"].sum())  # here, for a GPU would be waited for
        more = {"native_target": vessels, "native_fov": drawn_fov, "fov_pixels": fov_pixels}
        return {**item, **more}

    def prepare(
        self, pixels: Tensor, vessels: Tensor | None = None, drawn_fov: Tensor | None = None
    ) -> dict[str, Any]:
        """A photograph as the network takes it.

        Args:
            pixels: uint8 ``(1 or 3, H, W)``, see `mode`.
            vessels: drawn ones, bool ``(1, H, W)``.
            drawn_fov: field of view, likewise; None estimates it.

        Returns:
            ``image`` float32 ``(C, h, w)``, ``fov`` bool ``(1, h, w)``, ``target`` bool likewise if
            vessels are given, all at the network's size; ``native_size`` ``(2,)``; ``sharpness``,
            see `fundus.sharpness`, None without local normalization.
        """
        item: dict[str, Any] = {"native_size": torch.tensor(pixels.shape[-2:])}
        fov = drawn_fov
        if fov is None:
            found = estimate_fov(pixels.permute(1, 2, 0).numpy())
            fov = tv_tensors.Mask(torch.from_numpy(found)[None])
        resize = v2.Resize(network_size(fov[0].numpy(), self.size, self.diameter), antialias=True)
        pixels, fov = resize(pixels, fov)
        if vessels is not None:
            item["target"] = resize(vessels)
        image, sharpness = self.normalize(pixels, fov), None
        if self.local_normalization is not None:
            sharpness = fundus.sharpness(image, fov)
        return {**item, "fov": fov, "image": image, "sharpness": sharpness}

    def normalize(self, pixels: Tensor, fov: Tensor) -> Tensor:
        """Float32 ``(..., C, h, w)``, of uint8 pixels and a bool field of view of one size."""
        if self.local_normalization is None:
            return F.to_dtype(pixels, torch.float32, scale=True) * 2 - 1
        return fundus.local_normalization(pixels, fov, self.local_normalization)


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch; what has the network's size is padded with zeros below and at the right.

    Returns:
        ``image``, ``fov``, ``target`` stacked ``(N, C, h, w)`` with h, w multiples of 32;
        ``input_size``, ``native_size`` ``(N, 2)``, ``index`` ``(N,)``; the rest as lists.
    """
    sizes = torch.tensor([item["image"].shape[-2:] for item in items])
    height, width = (-(-int(side) // 32) * 32 for side in sizes.amax(dim=0))
    batch: dict[str, Any] = {"input_size": sizes}
    for key in items[0]:
        values = [item[key] for item in items]
        if key in ("image", "fov", "target"):
            values = [F.pad(v, [0, 0, width - v.shape[-1], height - v.shape[-2]]) for v in values]
            batch[key] = torch.stack([value.as_subclass(Tensor) for value in values])
        elif key == "native_size":
            batch[key] = torch.stack(values)
        elif key == "index":
            batch[key] = torch.tensor(values)
        else:
            batch[key] = values
    return batch
