"""Figures of the blot task: losses, D's accuracy, generated blots, and their styles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.utils import make_grid

from callbacks.figures.held_out import HeldOutFigures, figure
from datamodules.blot_style import NAMES
from experiment.plotting import (
    BLUE,
    INK,
    SKY,
    VERMILION,
    from_zero,
    image_grid,
    plot_by_epoch,
    reference_line,
    show_image,
)
from experiment.run_results import RunResults
from lit_models.postprocessing.styled_blots import complete_styles, generate_styled


class BlotFigures(HeldOutFigures):
    """D and G loss by step and by epoch, D's accuracy, template 1 / template 2 / generated / real.

    The same held-out templates are drawn every ``every_n_epochs`` epochs while training goes on,
    to ``figures/templates/``, and side by side at its end. ``validation_step`` and ``test_step``
    return ``image``, the generated blots ``(N, 1, H, W)`` in [-1, 1]; the module's
    ``adversarial_loss.balance`` says what D's and G's losses are where D cannot tell.

    Args:
        every_n_epochs: between two drawings.
        images: how many held-out blots are shown.
    """

    def __init__(self, every_n_epochs: int = 10, images: int = 4) -> None:
        super().__init__()
        self.every_n_epochs = every_n_epochs
        self.images = images
        self._film: dict[int, Tensor] = {}  # epoch -> generated, uint8 (images, C, H, W)

    def state_dict(self) -> dict[str, Any]:
        return {"film": self._film}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._film = state_dict["film"]

    def keep(self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]) -> Any:
        """uint8 ``(n, P, C, H, W)``: templates, generated, real."""
        missing = self.images - sum(len(part) for part in kept)
        if missing <= 0:
            return None
        templates, targets = batch["image"], batch["target"]
        pictures = torch.cat([templates, outputs["image"].to(targets), targets], dim=1)[:missing]
        pixels = ((pictures.float() + 1) * 127.5).round().to(torch.uint8).cpu()
        return pixels.unflatten(1, (-1, targets.shape[1]))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        epoch = trainer.current_epoch + 1
        wanted = epoch == 1 or epoch % self.every_n_epochs == 0
        if not wanted or trainer.sanity_checking or trainer.state.fn != "fit" or not self._passing:
            return
        pictures = torch.cat(self._passing)
        self._film[epoch] = pictures[:, -2]
        if trainer.is_global_zero:
            title = f"Held-out templates, epoch {epoch}"
            self._draw_rows(trainer, pictures, f"templates/{epoch:04d}", title)

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        title = "Losses of D and G, and how often D is right"
        loss: Any = trainer.lightning_module.adversarial_loss
        d_balance, g_balance = loss.balance
        caption = (
            "D's loss is the sum of its real and fake terms. Where D cannot tell them apart, its "
            f"loss is {d_balance:.3g} and G's is {g_balance:.3g}, the dotted lines. A D that is "
            "right about all, real and fake, has won."
        )
        with figure(trainer, "curves", (7.2, 5.6), title, caption) as fig:
            panels = fig.subplot_mosaic([["step", "step"], ["epoch", "accuracy"]])
            for name, label, color in (("d", "D", BLUE), ("g", "G", VERMILION)):
                steps = results.by_step.get(f"train/{name}_loss", {})
                panels["step"].plot(
                    list(steps), list(steps.values()), color=color, linewidth=0.9, label=label
                )
                plot_by_epoch(panels["epoch"], results.by_epoch[f"train/{name}_loss"], label, color)
            panels["step"].set_title("Loss by step")
            panels["step"].set_xlabel("step")
            panels["epoch"].set_title("Loss by epoch")
            for axes in (panels["step"], panels["epoch"]):
                from_zero(axes)
                reference_line(axes, g_balance, f"G at balance, {g_balance:.3g}")
                reference_line(axes, d_balance, f"D at balance, {d_balance:.3g}")
                axes.legend()
            panels["accuracy"].set_title("D is right about held-out")
            for name, color in (("real", SKY), ("fake", VERMILION)):
                percent = {
                    epoch: 100 * value
                    for epoch, value in results.by_epoch.get(f"val/d_accuracy_{name}", {}).items()
                }
                plot_by_epoch(panels["accuracy"], percent, f"{name} blots", color)
            panels["accuracy"].set_ylim(-5, 105)
            panels["accuracy"].yaxis.set_major_formatter("{x:g} %")
            panels["accuracy"].legend()

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        pictures = torch.cat(kept)[: self.images]
        title = f"Templates, generated, real ({where})"
        self._draw_rows(trainer, pictures, f"{prefix}blots", title)
        if not prefix and len(self._film) > 1:
            self._draw_film(trainer, pictures[:, -1])

    def _draw_rows(self, trainer: pl.Trainer, pictures: Tensor, name: str, title: str) -> None:
        templates = (f"template {number + 1}" for number in range(pictures.shape[1] - 2))
        columns = (*templates, "generated", "real")
        draw_table(trainer, pictures, columns, name, title)

    def _draw_film(self, trainer: pl.Trainer, real: Tensor) -> None:
        """The fixed templates' blots over the epochs, at most seven of them, and the real ones."""
        epochs = sorted(self._film)
        count = min(7, len(epochs))
        chosen = [epochs[round(i * (len(epochs) - 1) / (count - 1))] for i in range(count)]
        pictures = torch.stack([*(self._film[epoch] for epoch in chosen), real], dim=1)
        columns = (*(f"epoch {epoch}" for epoch in chosen), "real")
        draw_table(trainer, pictures, columns, "film", "The same held-out blots over the epochs")


def draw_table(
    trainer: pl.Trainer, pictures: Tensor, columns: Sequence[str], name: str, title: str
) -> None:
    """Pictures uint8 ``(rows, columns, C, H, W)``, drawn as one image: faster than one by one."""
    count, _, _, width = pictures.shape[1:]
    gap = max(1, width // 32)
    grid = make_grid(pictures.flatten(0, 1), count, gap, pad_value=225)
    size = (7.2, 7.2 * grid.shape[1] / grid.shape[2] + 0.3)
    with figure(trainer, name, size, title) as fig:
        [[axes]] = image_grid(fig, 1, 1)
        show_image(axes, grid / 255)
        centers = [gap + width / 2 + i * (width + gap) for i in range(count)]
        axes.set_xticks(centers, columns)
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, labelcolor=INK)


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
