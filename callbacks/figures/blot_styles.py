"""Figures of what style does to blots: the same templates in several styles, and power spectra."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.figures.blots import draw_table
from callbacks.figures.held_out import HeldOutFigures, figure
from datamodules.blot_style import NAMES
from experiment.plotting import BLUE, VERMILION
from experiment.run_results import RunResults
from lit_models.postprocessing.styled_blots import complete_styles, generate_styled


class BlotStyleFigures(HeldOutFigures):
    """``styles``: rows are held-out templates, columns are styles of training blots; ``spectrum``.

    The spectra are means over held-out blots, real and generated in the real ones' style: a faint
    grid or a missing grain shows there. Needs a `StyledBlotGAN`.

    Args:
        templates: rows.
        styles: columns.
        spectra: held-out blots that the spectra are of.
    """

    def __init__(self, templates: int = 4, styles: int = 6, spectra: int = 100) -> None:
        super().__init__()
        self.templates, self.styles, self.spectra = templates, styles, spectra

    def keep(self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]) -> Any:
        """uint8 ``(n, 4, H, W)``: both templates, generated, real."""
        missing = self.spectra - sum(len(part) for part in kept)
        if missing <= 0:
            return None
        parts = [batch["image"], outputs["image"].to(batch["target"]), batch["target"]]
        pictures = torch.cat(parts, dim=1)[:missing].float()
        return ((pictures + 1) * 127.5).round().to(torch.uint8).cpu()

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        """Nothing: `BlotFigures` does."""

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        pictures = torch.cat(kept)
        module: Any = trainer.lightning_module
        chosen = pictures[: self.templates, :2].to(module.device) / 127.5 - 1
        blots, styles = blots_in_styles(module, chosen, self.styles)
        table = torch.cat([pictures[: len(blots), :1], blots.cpu()], dim=1)
        columns = ["template 1", *(_label(style) for style in styles)]
        title = f"The same templates in styles of training blots, gray of paper / bands ({where})"
        draw_table(trainer, table[:, :, None], columns, f"{prefix}styles", title)
        self._draw_spectra(trainer, pictures[:, 2:], f"{prefix}spectrum", where)

    def _draw_spectra(self, trainer: pl.Trainer, pictures: Tensor, name: str, where: str) -> None:
        spectra = {
            kind: mean_log_power(pictures[:, i].numpy())
            for i, kind in enumerate(("generated", "real"))
        }
        title = f"Power spectrum of generated and real blots ({where})"
        caption = (
            "Mean log10 power by frequency; a grid in the image would be a spot in the middle."
        )
        with figure(trainer, name, (7.2, 2.9), title, caption) as fig:
            panels = fig.subplots(1, 3)
            low, high = (f(spectra["real"]) for f in (np.min, np.max))
            for axes, (kind, power) in zip(panels, spectra.items(), strict=False):
                axes.imshow(power, cmap="magma", vmin=low, vmax=high, extent=(-0.5, 0.5, -0.5, 0.5))
                axes.set_title(kind)
                axes.grid(False)
            for (kind, power), color in zip(spectra.items(), (VERMILION, BLUE), strict=True):
                panels[2].plot(*radial_mean(power), color=color, label=kind)
            panels[2].set_xlabel("cycles per px")
            panels[2].set_title("log10 power")
            panels[2].legend()


def blots_in_styles(module: Any, templates: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Blots uint8 ``(N, count, H, W)`` of templates ``(N, 2, H, W)``, and styles ``(count, 8)``.

    The styles are those drawn for the first pair, one of a membrane each.
    """
    asked = templates.new_full((count, 8), torch.nan)
    number = torch.arange(count)
    first = templates[:1].expand(count, -1, -1, -1)
    training = module.training
    module.eval()
    with torch.no_grad():
        styles = complete_styles(asked, first, number, module.style_bank)
        rows = [
            generate_styled(module.generator, pair.expand_as(first), styles, number)[:, 0]
            for pair in templates
        ]
    module.train(training)
    return torch.stack(rows), styles


def mean_log_power(blots: np.ndarray) -> np.ndarray:
    """Mean log10 power ``(H, W)`` of gray images ``(N, H, W)``, frequency 0 in the middle."""
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in blots.shape[1:]))
    x = (blots - blots.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.fftshift(np.fft.fft2(x), axes=(1, 2))) ** 2
    return np.log10(power + 1).mean(axis=0)


def radial_mean(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies up to 0.5 cycles per px and the mean of ``power`` ``(H, W)`` around them."""
    y, x = np.meshgrid(*(np.fft.fftshift(np.fft.fftfreq(n)) for n in power.shape), indexing="ij")
    steps = min(power.shape) // 2
    ring = np.round(np.hypot(x, y) * 2 * steps).astype(int)
    inside = (ring > 0) & (ring <= steps)
    total = np.bincount(ring[inside], power[inside], steps + 1)
    frequencies = np.arange(1, steps + 1) / (2 * steps)
    return frequencies, (total / np.maximum(np.bincount(ring[inside], minlength=steps + 1), 1))[1:]


def _label(style: Tensor) -> str:
    values = dict(zip(NAMES, style.tolist(), strict=True))
    return f"{values['paper']:.0f} / {values['band']:.0f}"
