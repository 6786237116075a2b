"""From fundus photographs to a network's input: scale, channels, illumination, batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d
from torch.utils.data import default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from common.errors import DataError
from common.ranges import ImageSide, Pixels
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_masks import read_masks
from datamodules.images import read_image
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
            see `sharpness`, None without local normalization.
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
        image = self.normalize(pixels, fov)
        sharp = sharpness(image, fov) if self.local_normalization is not None else None
        return {**item, "fov": fov, "image": image, "sharpness": sharp}

    def normalize(self, pixels: Tensor, fov: Tensor) -> Tensor:
        """Float32 ``(..., C, h, w)``, of uint8 pixels and a bool field of view of one size."""
        if self.local_normalization is None:
            return F.to_dtype(pixels, torch.float32, scale=True) * 2 - 1
        return local_normalization(pixels, fov, self.local_normalization)


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
        else:
            batch[key] = default_collate(values) if key in ("native_size", "index") else values
    return batch


def local_normalization(image: Tensor, fov: Tensor, sigma: float) -> Tensor:
    """Each channel without slow changes of light, at mean 0, standard deviation 1 in the FOV.

    What is subtracted is the mean of the surroundings that lie in the field of view (Gaussian,
    ``sigma`` px). Illumination, exposure, color balance and contrast of the camera go out with it.

    Args:
        image: uint8 or float ``(..., C, H, W)`` of any range.
        fov: bool ``(..., 1, H, W)``.
        sigma: in px of this image.

    Returns:
        float32 ``(..., C, H, W)``, 0 outside the field of view.
    """
    radius = int(3 * sigma)
    total = float(np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum())

    def kernel(side: int) -> Tensor:
        at = torch.arange(side, dtype=torch.float64, device=image.device)
        away = (at[:, None] - at).abs()
        return (-0.5 * (away / sigma) ** 2).exp() * (away <= radius) / total

    inside = fov.float()
    pixels = image.float() * inside
    down, across = kernel(image.shape[-2]), kernel(image.shape[-1])
    weight, blurred = (
        ((down @ planes.double()).float().double() @ across).float() for planes in (inside, pixels)
    )
    # A pixel in the field of view has at least its own weight.
    flat = (pixels - blurred / weight.clamp_min(total**-2)) * inside
    count = inside.sum(dim=(-2, -1), keepdim=True).clamp_min(1)
    mean = flat.sum(dim=(-2, -1), keepdim=True) / count
    deviation = (((flat - mean) * inside).square().sum(dim=(-2, -1), keepdim=True) / count).sqrt()
    return (flat - mean) * inside / deviation.clamp_min(1e-3)


def sharpness(image: Tensor, fov: Tensor) -> float:
    """Standard deviation of details up to 5 px in the middle channel of a normalized photograph.

    DRIVE has 0.2 to 0.34; blurred by a Gaussian of 1.6 px 0.1, of 2.5 px below 0.08.

    Args:
        image: as from `local_normalization`.
        fov: bool ``(1, H, W)``.
    """
    plane = image[None, len(image) // 2, None]
    inside = 1 - max_pool2d(1 - fov[None].float(), 9, 1, 4)  # without its rim
    details = (plane - avg_pool2d(plane, 5, 1, 2)).square() * inside
    return float((details.sum() / inside.sum().clamp_min(1)).sqrt())
