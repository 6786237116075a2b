"""From fundus photographs to a network's input: masks, scale, channels, illumination, batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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
from datamodules.images import read_image, say
from datamodules.transforms.field_of_view import estimate_fov, network_size

MOST_LABELS = 8  # gray levels in a mask that are meant as such


@dataclass(frozen=True)
class FundusInput:
    """How a photograph becomes what the network sees; the same in training and prediction.

    Args:
        channels: "gray" (luminance, 1 channel) or "rgb" (3).
        size: squash to size x size px, as the reference does; null keeps the native size.
        diameter: scale without distortion to this diameter of the field of view in px, so that
            vessels of any camera are as wide as in training; the diameter of the training
            photographs keeps their pixels; not together with ``size``.
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
        fov_pixels = int(item["fov"].sum())  # counted on the CPU: no step waits for a GPU
        return {**item, "native_target": vessels, "native_fov": drawn_fov, "fov_pixels": fov_pixels}

    def prepare(
        self, pixels: Tensor, vessels: Tensor | None = None, drawn_fov: Tensor | None = None
    ) -> dict[str, Any]:
        """A photograph as the network takes it.

        Args:
            pixels: uint8 ``(1 or 3, H, W)``, see `mode`.
            vessels: drawn vessels, bool ``(1, H, W)``.
            drawn_fov: drawn field of view, bool ``(1, H, W)``; None estimates it.

        Returns:
            ``image`` float32 ``(C, h, w)``, ``fov`` bool ``(1, h, w)``, ``target`` bool likewise if
            vessels are given, all at the network's size; ``native_size`` ``(2,)``; ``sharpness``,
            see `sharpness`, None without local normalization.
        """
        native_size, fov = torch.tensor(pixels.shape[-2:]), drawn_fov
        if fov is None:
            found = estimate_fov(pixels.permute(1, 2, 0).numpy())
            fov = tv_tensors.Mask(torch.from_numpy(found)[None])
        resize = v2.Resize(network_size(fov[0].numpy(), self.size, self.diameter), antialias=True)
        pixels, fov = resize(pixels, fov)
        image = self.normalize(pixels, fov)
        sharp = sharpness(image, fov) if self.local_normalization is not None else None
        item = {"image": image, "fov": fov, "native_size": native_size, "sharpness": sharp}
        return item if vessels is None else {**item, "target": resize(vessels)}

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


def read_mask(path: Path, image: Path, size: Sequence[int], full: bool = False) -> tv_tensors.Mask:
    """A drawn mask as bool ``(1, H, W)``; any two gray levels, smoothed edges and colors allowed.

    The level of a pixel is its greatest channel: arteries in red and veins in blue are vessels.

    Args:
        path: the mask.
        image: the photograph it belongs to, for the message.
        size: ``(H, W)`` of that photograph.
        full: allow a mask that is set everywhere, as a field of view may be.

    Raises:
        DataError: unreadable, of another size, empty, or not a mask (more than a fifth of what is
            drawn is neither bright nor beside it, or of the image in between); names both files.
    """
    color = read_image(path, "RGB").as_subclass(Tensor)
    gray = color.amax(0, keepdim=True)
    if gray.shape[-2:] != torch.Size(size):
        (mh, mw), (h, w) = gray.shape[-2:], size
        raise DataError(f"{path}: mask of {mw}x{mh} px for {image} of {w}x{h} px; redraw or resize")
    low, high = int(gray.min()), int(gray.max())
    if full and low == high:
        low = 0
    if low == high:
        raise DataError(f"{path}: empty mask ({low} everywhere) for {image}; remove both or redraw")
    level = (gray.float() - low) / (high - low)
    # Of few values each is a label; else the darkest may be traces of a lossy compression.
    labels = len(gray.unique()) if len(gray.unique()) <= MOST_LABELS else 0
    drawn = level > (0 if labels else 0.2)
    near_bright = max_pool2d((level > 0.8).float(), 5, stride=1, padding=2) > 0
    between = float(((level > 0.2) & (level < 0.8)).float().mean())  # much of it in a photograph
    other = max(between, float((drawn & ~near_bright).sum() / drawn.sum()))
    if other > 0.2 or low > high / 2:
        raise DataError(
            f"{path}: not a binary mask (gray {low} to {high}, {other:.0%} in between) "
            f"for {image}; save it in black and white"
        )
    if labels > 2 or (gray - color.amin(0)).max() > 64:
        say(f"{path.parent}: masks in color or several grays; what is not dark counts as drawn")
    return tv_tensors.Mask(level > 0.5)


def read_masks(
    files: FundusFiles, size: Sequence[int]
) -> tuple[tv_tensors.Mask | None, tv_tensors.Mask | None]:
    """The drawn vessels and field of view of one photograph, where there are files of them.

    Args:
        files: of the photograph.
        size: its ``(H, W)``.

    Raises:
        DataError: as `read_mask`; more than half of the field of view is vessel, or most vessels
            lie outside of it: a mask is inverted, or the two are swapped.
    """
    vessels = read_mask(files.vessels, files.image, size) if files.vessels else None
    fov = read_mask(files.fov, files.image, size, full=True) if files.fov else None
    if vessels is not None:
        inside = vessels if fov is None else vessels[fov]
        share, lost = float(inside.float().mean()), 1 - float(inside.sum() / vessels.sum())
        if max(share, lost) > 0.5:
            raise DataError(
                f"{files.vessels}: {share:.0%} of the field of view of {files.image} is vessel, "
                f"and {lost:.0%} of the vessels lie outside; invert a mask, or swap the two"
            )
    return vessels, fov
