"""Figures of the blot task: losses, D's accuracy, generated blots, and their styles."""

from collections.abc import Sequence
from typing import Any

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
    percent_axis,
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
        every_n_epochs: epochs between two drawings.
        images: held-out blots that are shown.
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
            draw_table(trainer, pictures, _columns(pictures), f"templates/{epoch:04d}", title)

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        loss: Any = trainer.lightning_module.adversarial_loss
        d_balance, g_balance = loss.balance
        title = "Losses of D and G, and how often D is right"
        caption = (
            "D's loss is the sum of its real and fake terms. The dotted lines are the losses of a "
            f"D that cannot tell real from fake: {d_balance:.3g} for D, {g_balance:.3g} for G. A D "
            "that is always right has won."
        )
        size = (7.2, 5.6 if results.by_step else 2.9)
        with figure(trainer, "curves", size, title, caption) as fig:
            # A short run logs no steps.
            panels = fig.subplot_mosaic("SS;EA" if results.by_step else "EA")
            for name, label, color in (("d", "D", BLUE), ("g", "G", VERMILION)):
                plot_by_epoch(panels["E"], results.by_epoch[f"train/{name}_loss"], label, color)
                if steps := results.by_step.get(f"train/{name}_loss"):
                    line = list(steps), list(steps.values())
                    panels["S"].plot(*line, color=color, linewidth=0.9, label=label)
                    panels["S"].set(xlabel="step")
            for name in panels.keys() - {"A"}:
                panels[name].set_title("Loss by step" if name == "S" else "Loss by epoch")
                from_zero(panels[name])
                reference_line(panels[name], g_balance, f"G at balance, {g_balance:.3g}")
                reference_line(panels[name], d_balance, f"D at balance, {d_balance:.3g}")
                panels[name].legend()
            panels["A"].set_title("D is right about held-out")
            for name, color in (("real", SKY), ("fake", VERMILION)):
                values = results.by_epoch.get(f"val/d_accuracy_{name}", {})
                plot_by_epoch(panels["A"], values, f"{name} blots", color)
            panels["A"].set_ylim(-0.05, 1.05)
            percent_axis(panels["A"].yaxis)
            panels["A"].legend()

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        pictures = torch.cat(kept)[: self.images]
        title = f"Templates, generated, real ({where})"
        draw_table(trainer, pictures, _columns(pictures), f"{prefix}blots", title)
        if not prefix and len(self._film) > 1:
            self._draw_film(trainer, pictures[:, -1])

    def _draw_film(self, trainer: pl.Trainer, real: Tensor) -> None:
        """The fixed templates' blots over the epochs, at most seven of them, and the real ones."""
        epochs = sorted(self._film)
        count = min(7, len(epochs))
        chosen = [epochs[round(i * (len(epochs) - 1) / (count - 1))] for i in range(count)]
        pictures = torch.stack([*(self._film[epoch] for epoch in chosen), real], dim=1)
        columns = (*(f"epoch {epoch}" for epoch in chosen), "real")
        draw_table(trainer, pictures, columns, "film", "The same held-out blots over the epochs")


def _columns(pictures: Tensor) -> list[str]:
    templates = range(1, pictures.shape[1] - 1)
    return [*(f"template {number}" for number in templates), "generated", "real"]


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
    """``styles``: rows are held-out templates, columns are styles of training blots.

    Needs a `StyledBlotGAN`.

    Args:
        templates: rows.
        styles: columns.
    """

    def __init__(self, templates: int = 4, styles: int = 6) -> None:
        super().__init__()
        self.templates, self.styles = templates, styles

    def keep(self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]) -> Any:
        """Templates float32 ``(n, 2, H, W)``."""
        missing = self.templates - sum(len(part) for part in kept)
        return batch["image"][:missing].float().cpu() if missing > 0 else None

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        """Nothing: `BlotFigures` does."""

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        templates = torch.cat(kept)[: self.templates]
        module: Any = trainer.lightning_module
        blots, styles = blots_in_styles(module, templates.to(module.device), self.styles)
        first = ((templates[:, :1] + 1) * 127.5).round().to(torch.uint8)
        table = torch.cat([first, blots.cpu()], dim=1)
        columns = ["template 1", *(_label(style) for style in styles)]
        title = f"The same templates in styles of training blots, gray of paper / bands ({where})"
        draw_table(trainer, table[:, :, None], columns, f"{prefix}styles", title)


def blots_in_styles(module: Any, templates: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Blots uint8 ``(N, count, H, W)`` of templates ``(N, 2, H, W)``, and styles ``(count, 8)``.

    The styles are those drawn for the first pair, one of a membrane each.
    """
    unset = templates.new_full((count, 8), torch.nan)
    number = torch.arange(count)
    first = templates[:1].expand(count, -1, -1, -1)
    training = module.training
    module.eval()
    with torch.no_grad():
        styles = complete_styles(unset, first, number, module.style_bank)
        rows = [
            generate_styled(module.generator, pair.expand_as(first), styles, number)[:, 0]
            for pair in templates
        ]
    module.train(training)
    return torch.stack(rows), styles


def _label(style: Tensor) -> str:
    values = dict(zip(NAMES, style.tolist(), strict=True))
    return f"{values['paper']:.0f} / {values['band']:.0f}"
