"""Figures of the blot task: losses, D's accuracy, generated blots, and how they came about."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.utils import make_grid

from callbacks.figures.held_out import HeldOutFigures, figure
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
