"""Results of `predict`, one class a task; each displays itself in a notebook."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont, ImageOps

from datamodules.preprocessing import Resize, square_margins
from datamodules.transforms.field_of_view import estimate_fov
from lit_models.postprocessing.vessel_measures import MeasuredVessels, measure_vessels

SIDE = 400  # of a panel in px
TEXT, MARGIN = 16, 8
INK, PAPER, FRAME = "#1F2328", "#FFFFFF", "#D8DEE4"
VESSEL = np.array([0, 200, 120])


class DisplayMixin:
    """Shows itself in a notebook."""

    def numbers(self) -> dict[str, Any]:
        """What is known in numbers, by name; the most important first."""
        raise NotImplementedError

    @property
    def caption(self) -> str:
        """One line about the result."""
        return ", ".join(f"{name} {value}" for name, value in [*self.numbers().items()][:2])

    def pictures(self) -> list[tuple[str, Image.Image]]:
        """Titles and pictures, beginning with what was given."""
        raise NotImplementedError

    def show(self) -> Image.Image:
        """The pictures beside each other, and the caption."""
        return panels(self.pictures(), self.caption)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.show().save(file, "PNG")
        return file.getvalue()


@dataclass(frozen=True, eq=False)
class DefectResult(DisplayMixin):
    """What is seen on an industrial image.

    Attributes:
        name: of the file, or "image".
        label: the most probable class.
        probabilities: by class name, in the order of the labels; their sum is 1.
        image: what was given, gray or color as the network sees it.
        activation: class activation map of ``label`` as the network has it, ``(h, w)`` float32, in
            units of the logit: its mean, plus a constant, is the logit. None where the network has
            none, see `DefectModel`.
        resize: how the image became square for the network, see `resize_square`.
        unknown: 0 to 1, how unlike the training images, see `UnknownScore`; None where the
            checkpoint does not tell.
        unknown_above: score above which an image is called unknown.
    """

    name: str
    label: str
    probabilities: dict[str, float]
    image: Image.Image = field(repr=False)
    activation: np.ndarray | None = field(repr=False)
    resize: Resize = field(default="squash", repr=False)
    unknown: float | None = None
    unknown_above: float | None = field(default=None, repr=False)

    @property
    def is_unknown(self) -> bool:
        """Whether the image is unlike any in training, whatever the confidence."""
        return self.unknown is not None and self.unknown > (self.unknown_above or 0)

    @property
    def confidence(self) -> float:
        """Probability of ``label``."""
        return self.probabilities[self.label]

    def numbers(self) -> dict[str, Any]:
        """The label, and probabilities in per cent."""
        sure = {name: f"{100 * p:.1f} %" for name, p in self.probabilities.items()}
        found = {"label": self.label, "confidence": sure[self.label]}
        if self.unknown is not None:
            answer = "yes" if self.is_unknown else "no"
            found["unknown"] = f"{answer} ({self.unknown:.3f}, limit {self.unknown_above:.3f})"
        return {**found, **sure}

    @cached_property
    def heatmap(self) -> np.ndarray | None:
        """``activation`` at the image's size, ``(H, W)``, interpolated; 0 where it was cut off."""
        if self.activation is None:
            return None
        height, width = self.image.height, self.image.width
        left, right, top, bottom = square_margins(height, width, self.resize)
        size = (top + height + bottom, left + width + right)
        seen = F.interpolate(torch.from_numpy(self.activation)[None, None], size, mode="bilinear")
        return F.pad(seen, [-left, -right, -top, -bottom])[0, 0].numpy()

    def pictures(self) -> list[tuple[str, Image.Image]]:
        """The image, and where the evidence for its class is."""
        found = [(self.name, self.image)]
        if self.heatmap is not None:
            over = colored(self.heatmap)
            evidence = Image.blend(self.image.convert("RGB"), over, 0.5)
            found.append((f"evidence for {self.label}", evidence))
        return found


@dataclass(frozen=True, eq=False)
class VesselResult(DisplayMixin):
    """Where the vessels of a fundus photograph are, at its size.

    Attributes:
        name: of the file, or "image".
        image: the photograph.
        probability: of vessel, ``(H, W)`` float32, 0 to 1.
        threshold: above which a pixel is called vessel.
        uncertainty: standard deviation of the probability over the views of the test-time
            augmentation, ``(H, W)`` float32, 0 to 0.5; None where the model looks once.
        centerline: see `VesselPostprocessor`.
        sharpness: of the photograph, see `FundusInput.prepare`; None where it was not measured.
    """

    name: str
    image: Image.Image = field(repr=False)
    probability: np.ndarray = field(repr=False)
    threshold: float
    uncertainty: np.ndarray | None = field(default=None, repr=False)
    centerline: tuple[float, float] | None = None
    sharpness: float | None = None

    @cached_property
    def mask(self) -> np.ndarray:
        """Vessel pixels, bool ``(H, W)``."""
        return self.probability > self.threshold

    @cached_property
    def measures(self) -> MeasuredVessels:
        """Density, length, branching and winding, whole and by quadrant."""
        fov = estimate_fov(np.array(self.image))
        settings = self.threshold, self.centerline, self.sharpness
        return measure_vessels(self.probability, fov, *settings)

    def numbers(self) -> dict[str, Any]:
        """Measures of the whole field of view."""
        values = {k: f"{v:.4g}" for k, v in asdict(self.measures.regions["whole"]).items()}
        return {**values, "quality": ", ".join(self.measures.quality), "above": self.threshold}

    @property
    def caption(self) -> str:
        """The share of vessel."""
        share = self.mask[estimate_fov(np.array(self.image))].mean()
        return f"{100 * share:.1f} % of the field of view is vessel"

    def pictures(self) -> list[tuple[str, Image.Image]]:
        """The photograph, its vessels, and where the views disagree."""
        found = [(self.name, self.image), ("vessels", marked(self.image, self.mask))]
        found.append(("probability", colored(self.probability, 1)))
        if self.uncertainty is not None:
            found.append(("uncertainty (0 to 0.25)", colored(self.uncertainty, 0.25)))
        return found


@dataclass(frozen=True, eq=False)
class RetinaResult(DisplayMixin):
    """A photograph and its copy.

    Attributes:
        name: of the file, or "image".
        image: the photograph.
        reconstruction: its copy, RGB, of the same size.
        psnr: of the network's input against its copy, in dB.
        ssim: likewise; NaN for images of 5 px or less a side.
    """

    name: str
    image: Image.Image = field(repr=False)
    reconstruction: Image.Image = field(repr=False)
    psnr: float
    ssim: float

    def numbers(self) -> dict[str, Any]:
        """Both scores."""
        return {"PSNR in dB": f"{self.psnr:.2f}", "SSIM": f"{self.ssim:.4f}"}

    def pictures(self) -> list[tuple[str, Image.Image]]:
        """The photograph, its copy, and five times their difference."""
        pair = [np.array(i.convert("RGB")).astype(int) for i in (self.image, self.reconstruction)]
        difference = np.abs(pair[0] - pair[1]).max(axis=2) / 255
        found = [(self.name, self.image), ("copy", self.reconstruction)]
        return [*found, ("difference x 5", colored(difference, 0.2))]


@dataclass(frozen=True, eq=False)
class BlotResult(DisplayMixin):
    """A Western blot made from its templates.

    Attributes:
        name: of the first template's file, or "image".
        templates: all, as they were given.
        image: the blot, 8-bit, of the network's size, or the templates' own.
        style: of the blot by name, see `datamodules.blot_style.BlotStyle`; None where the model
            knows none.
    """

    name: str
    templates: tuple[Image.Image, ...] = field(repr=False)
    image: Image.Image = field(repr=False)
    style: dict[str, float] | None = None

    def numbers(self) -> dict[str, Any]:
        """Size in px, and the style."""
        style = {name: f"{value:.3g}" for name, value in (self.style or {}).items()}
        return {"width": self.image.width, "height": self.image.height, **style}

    def pictures(self) -> list[tuple[str, Image.Image]]:
        """The templates and the blot."""
        names = (*(f"template {i + 1}" for i in range(len(self.templates))), "blot")
        return list(zip(names, (*self.templates, self.image), strict=True))


def colored(values: np.ndarray, greatest: float | None = None) -> Image.Image:
    """Values ``(H, W)`` as colors, dark for 0 and less, bright for ``greatest``."""
    import matplotlib  # slow, and not needed to predict

    top = float(values.max()) if greatest is None else greatest
    colors = matplotlib.colormaps["inferno"](np.clip(values / max(top, 1e-12), 0, 1), bytes=True)
    return Image.fromarray(colors[..., :3].copy())


def marked(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """``image`` with the pixels of ``mask`` ``(H, W)`` in green."""
    pixels = np.array(image.convert("RGB")).astype(np.float32)
    pixels[mask] = 0.4 * pixels[mask] + 0.6 * VESSEL
    return Image.fromarray(pixels.round().astype(np.uint8))


def panels(parts: Sequence[tuple[str, Image.Image]], footer: str = "") -> Image.Image:
    """Images beside each other, each with its title above, and a line below."""
    images = []
    for _, image in parts:
        small = max(image.size) < SIDE
        method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
        shown = ImageOps.contain(image.convert("RGB"), (SIDE - 2, SIDE - 2), method)
        images.append(ImageOps.expand(shown, 1, FRAME))
    line, rows = TEXT + 2 * MARGIN, max(image.height for image in images)
    size = len(parts) * (SIDE + MARGIN) + MARGIN, rows + line + (line if footer else MARGIN)
    canvas = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(TEXT)
    for index, ((title, _), image) in enumerate(zip(parts, images, strict=True)):
        left = MARGIN + index * (SIDE + MARGIN)
        while draw.textlength(title, font) > SIDE:
            title = f"{title.removesuffix('...')[:-1]}..."
        draw.text((left, MARGIN), title, INK, font)
        canvas.paste(image, (left, line))
    draw.text((MARGIN, line + rows + MARGIN), footer, INK, font)
    return canvas
