"""Graphs for export: a network with the pre- and postprocessing of its task.

Images go in as files have them: ``pixels`` uint8, gray ``(N, H, W)`` or RGB ``(N, H, W, 3)``, of
any size. A graph is traced, so nothing here depends on the values of a tensor. Resizing is ONNX's
``Resize`` with ``antialias``, in uint8 as torchvision has it: at most one gray level beside it, in
less than 2 % of the pixels in six sizes tried, and none where the side is halved.
"""

from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from common.errors import DataError
from datamodules.preprocessing import normalize_defects, resize_square
from inference.blots import BlotModel
from inference.defects import DefectModel
from inference.model import Model
from inference.retina import RetinaModel
from inference.styled_blots import StyledBlotModel
from inference.vessels import VesselModel
from lit_models.networks.styled_blot_generator import StyledBlotGenerator, typical_style
from lit_models.postprocessing.pixels import to_gray, to_unit

SIDES = (67, 81)  # of what is traced: multiples of nothing, so that no padding is left out


class Graph(nn.Module):
    """A network in an exported file.

    Attributes:
        inputs: name and example of each; batch, height and width of the example become free.
        outputs: their names.
        fixed: inputs of which the batch alone is free.
        noise: its channels, and what its sides are multiples of; None where there is none.
    """

    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    noise: tuple[int, int] | None = None

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def free_sides(self) -> tuple[dict[int, Any], ...]:
        """Of each input, in the terms of ``torch.export``."""
        axes = ([0] if name in self.fixed else [0, 1, 2] for name in self.inputs)
        return tuple(dict.fromkeys(free, Dim.DYNAMIC) for free in axes)


class DefectGraph(Graph):
    """Probabilities ``(N, K)``; where the model explains also class activation maps."""

    def __init__(self, model: DefectModel) -> None:
        super().__init__(model)
        self.size, self.inference, self.explains = model.size, model.inference, model.explains
        self.resize = model.resize
        self.inputs = {"pixels": _pixels(3 if model.mode == "RGB" else 0)}
        self.outputs = ("probabilities", *(["activations"] if self.explains else []))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        images = pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
        images = normalize_defects(resize_square(images, self.size, self.resize))
        if not self.explains:
            return (self.inference.log_probabilities(self.network, images).exp(),)
        log_probs, maps = self.inference.explain(self.network, images)  # type: ignore[arg-type]
        assert maps is not None
        return log_probs.exp(), maps


class VesselGraph(Graph):
    """Probability and, with test-time augmentation, uncertainty ``(N, H, W)``, float32.

    As `VesselPostprocessor`, but without tiles, which only save memory. Its input ``fov``, bool
    ``(N, h, w)`` at the network's size, is left out where nothing depends on it.
    """

    def __init__(self, model: VesselModel) -> None:
        super().__init__(model)
        self.settings, self.inference, self.fov_only = model.inputs, model.inference, model.fov_only
        settings = self.settings
        self.inputs = {"pixels": _pixels(0 if settings.mode == "L" else 3)}
        needs_fov = settings.local_normalization or settings.diameter or self.fov_only
        if needs_fov or len(self.inference.scales) > 1:
            sides = SIDES if settings.size is None else (settings.size, settings.size)
            self.inputs["fov"] = torch.ones(2, *sides, dtype=torch.bool)
            self.fixed = () if settings.size is None else ("fov",)
        self.outputs = ("probability", *(["uncertainty"] if self.inference.tta > 1 else []))

    def forward(self, pixels: Tensor, fov: Tensor | None = None) -> tuple[Tensor, ...]:
        native = pixels.shape[1:3]
        images = pixels[:, None] if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2)
        if self.settings.channels == "green":
            images = images[:, 1:2]
        size = native if fov is None else fov.shape[-2:]
        if self.settings.size is not None:
            size = torch.Size([self.settings.size, self.settings.size])
        images = _resized(images, size)
        inside = torch.ones_like(images[:, :1], dtype=torch.float32)
        if fov is not None:
            inside = fov[:, None].float()
        if self.settings.local_normalization is None:
            images = images.float() / 255 * 2 - 1
        else:
            images = _locally_normalized(images, inside, self.settings.local_normalization)
        padding = (0, -size[1] % 32, 0, -size[0] % 32)
        images, inside = F.pad(images, padding), F.pad(inside, padding)
        found = self._at_best_scale(images, inside)
        if self.fov_only:
            found = [maps * inside for maps in found]
        cropped = [maps[..., : size[0], : size[1]] for maps in found]
        return tuple(_interpolated(maps, native)[:, 0] for maps in cropped)

    def _at_best_scale(self, images: Tensor, inside: Tensor) -> list[Tensor]:
        found = [self._averaged(images, scale) for scale in self.inference.scales]
        if len(found) == 1:
            return found[0][1:]
        first = torch.stack([maps[0] for maps in found]) * inside
        confidence = first.square().sum(dim=(2, 3, 4)) / first.sum(dim=(2, 3, 4)).clamp_min(1e-6)
        chosen = F.one_hot(confidence.argmax(dim=0), len(found)).T[:, :, None, None, None]
        kinds = zip(*(maps[1:] for maps in found), strict=True)
        return [(torch.stack(maps) * chosen).sum(dim=0) for maps in kinds]

    def _averaged(self, images: Tensor, scale: float) -> list[Tensor]:
        """Probability of the first view, of all views, and their deviation if there are several."""
        size = images.shape[-2:]
        scaled = images if scale == 1 else _interpolated(images, [_times(s, scale) for s in size])
        mirrors: list[tuple[int, ...]] = [(), (-1,), (-2,), (-2, -1)][: self.inference.tta]
        views = []
        for turns in range(max(1, self.inference.tta // 4)):  # mirror images are asked as a batch
            turned = scaled.rot90(turns, (-2, -1))
            asked = torch.cat([turned.flip(axes) for axes in mirrors])
            answers = self.network(asked).float().sigmoid().unflatten(0, (len(mirrors), -1))
            for answer, axes in zip(answers, mirrors, strict=True):
                views.append(answer.flip(axes).rot90(-turns, (-2, -1)))
        every = torch.stack(views)
        maps = [every[0], every.mean(dim=0)]
        if len(views) > 1:
            maps.append((every - maps[1]).square().mean(dim=0).sqrt())
        return [m if scale == 1 else _interpolated(m, size) for m in maps]


class RetinaGraph(Graph):
    """The copy, uint8 ``(N, H, W, 3)``, and its scores at the network's size ``(N,)``."""

    def __init__(self, model: RetinaModel) -> None:
        super().__init__(model)
        self.size = model.size
        self.inputs = {"pixels": _pixels(3)}
        self.outputs = ("image", "psnr", "ssim")

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        native = pixels.shape[1:3]
        images = pixels.permute(0, 3, 1, 2)
        if self.size is not None:
            images = _resized(images, (self.size, self.size))
        truth = images.float() / 255 * 2 - 1
        copy, truth = to_unit(self.network(truth).float()), to_unit(truth)
        shown = copy
        if self.size is not None:
            shown = F.interpolate(copy, native, mode="bicubic", antialias=True).clamp(0, 1)
        image = (shown * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        psnr = -10 * (copy - truth).square().mean(dim=(1, 2, 3)).log10()
        return image, psnr, _ssim(copy, truth)


class BlotGraph(Graph):
    """Blots uint8 ``(N, s, s)`` of both templates, uint8 ``(N, 2, s, s)``."""

    def __init__(self, model: BlotModel) -> None:
        super().__init__(model)
        if (model.count, model.mode) != (2, "L"):
            raise DataError("templates: only models of two gray templates can be exported")
        self.inputs = {"pixels": torch.zeros(2, 2, model.size, model.size, dtype=torch.uint8)}
        self.outputs = ("image",)
        self.fixed = tuple(self.inputs)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return (to_gray(self.network(pixels.float() / 127.5 - 1).float())[:, 0],)


class StyledBlotGraph(Graph):
    """Blots uint8 ``(N, H, W)`` of both templates, uint8 ``(N, 2, H, W)``, in styles ``(N, 8)``.

    The noise has the size that `StyledBlotGenerator.noise_size` gives.
    """

    network: StyledBlotGenerator

    def __init__(self, model: StyledBlotModel) -> None:
        super().__init__(model)
        pixels = torch.zeros(2, 2, *SIDES, dtype=torch.uint8)
        self.inputs = {
            "pixels": pixels,
            "style": typical_style().expand(2, -1).contiguous(),
            "noise": torch.zeros(2, *self.network.noise_size(pixels)),
        }
        self.noise = self.network.noise_channels, self.network.multiple
        self.outputs = ("image",)

    def free_sides(self) -> tuple[dict[int, Any], ...]:
        sides = [Dim(name, min=2) for name in ("rows", "columns")]  # sides of 1 are traced apart
        noise = {axis: self.network.multiple * side for axis, side in enumerate(sides, start=2)}
        batch = {0: Dim.DYNAMIC}
        return {**batch, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}, batch, {**batch, **noise}

    def forward(self, pixels: Tensor, style: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        blots = self.network(pixels.float() / 127.5 - 1, style, noise)[1]
        return (to_gray(blots.float())[:, 0],)


def _pixels(channels: int = 0) -> Tensor:
    return torch.zeros(2, *SIDES, *([channels] if channels else []), dtype=torch.uint8)


def _resized(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    if pixels.shape[-2:] is size:
        return pixels
    return F.interpolate(pixels, list(size), mode="bilinear", antialias=True)


def _interpolated(maps: Tensor, size: list[int] | torch.Size) -> Tensor:
    return F.interpolate(maps, list(size), mode="bilinear", antialias=True)


def _times(side: int, scale: float) -> int:
    """``round(side * scale)`` of a side that is free; halves go up and not to the even number."""
    ratio = Fraction(scale).limit_denominator(10**4)
    return (2 * side * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)


def _locally_normalized(pixels: Tensor, inside: Tensor, sigma: float) -> Tensor:
    """As `fundus.local_normalization`, of which see the source, for ``(N, C, H, W)``."""
    radius = int(3 * sigma)
    steps = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = (-0.5 * (steps / sigma) ** 2).exp()
    kernel = (kernel / kernel.sum()).float()

    def blurred(planes: Tensor) -> Tensor:
        flat = planes.flatten(0, 1)[:, None]
        down = F.conv2d(flat, kernel.view(1, 1, -1, 1), padding=(radius, 0))
        across = F.conv2d(down, kernel.view(1, 1, 1, -1), padding=(0, radius))
        return across.view(planes.shape)

    planes = pixels.float() * inside
    flat = (planes - blurred(planes) / blurred(inside).clamp_min(1e-3)) * inside
    count = inside.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    flat = (flat - flat.sum(dim=(2, 3), keepdim=True) / count) * inside
    return flat / (flat.square().sum(dim=(2, 3), keepdim=True) / count).sqrt().clamp_min(1e-3)


def _ssim(copy: Tensor, truth: Tensor) -> Tensor:
    """Of each image, as torchmetrics' in `image_scores`: a Gaussian of 1.5 px in a window of 11."""
    steps = torch.arange(-5, 6) / 1.5
    line = (-0.5 * steps.square()).exp()
    window = (line[:, None] * line / line.sum() ** 2).expand(copy.shape[1], 1, 11, 11)
    a, b = (F.pad(image, (5, 5, 5, 5), mode="reflect") for image in (copy, truth))
    pairs = (a, b, a * a, b * b, a * b)
    mean_a, mean_b, aa, bb, ab = (F.conv2d(x, window, groups=x.shape[1]) for x in pairs)
    spread = (aa - mean_a**2).clamp_min(0) + (bb - mean_b**2).clamp_min(0) + 0.03**2
    light = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    return (light * (2 * (ab - mean_a * mean_b) + 0.03**2) / spread).mean(dim=(1, 2, 3))
