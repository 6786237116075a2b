"""Figures of the blot task: losses, D's accuracy, and generated blots."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.figures.held_out import HeldOutFigures, draw_rows, figure, to_pixels
from experiment.plotting import BLUE, SKY, VERMILION, percent_axis, plot_by_epoch
from experiment.run_results import RunResults


class BlotFigures(HeldOutFigures):
    """D and G loss by epoch, D's accuracy, and templates beside generated and real blots.

    ``validation_step`` and ``test_step`` return ``image``, the generated blots ``(N, C, H, W)`` in
    [-1, 1]; the module's ``adversarial_loss.balance`` says what D's and G's losses are where D
    cannot tell.

    Args:
        images: held-out blots that are shown.
    """

    def __init__(self, images: int = 4) -> None:
        super().__init__()
        self.images = images

    def keep(self, outputs: Any, batch: Any, count: int) -> list[Tensor]:
        """uint8 ``(P, C, H, W)`` of each blot: its templates, generated, real."""
        templates, targets = batch["image"], batch["target"]
        pictures = torch.cat([templates, outputs["image"].to(targets), targets], dim=1)
        shown = to_pixels(pictures[: max(0, self.images - count)])
        return [*shown.unflatten(1, (-1, targets.shape[1]))]

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        loss: Any = trainer.lightning_module.adversarial_loss
        d_balance, g_balance = loss.balance
        title = "Losses of D and G, and how often D is right"
        caption = (
            "D's loss is the sum of its real and fake terms. The dotted lines are the losses of a "
            f"D that cannot tell real from fake: {d_balance:.3g} for D, {g_balance:.3g} for G. A D "
            "that is always right has won."
        )
        with figure(trainer, "curves", (7.2, 2.9), title, caption) as fig:
            losses, right = fig.subplots(1, 2)
            losses.set_title("Loss by epoch")
            for name, label, color in (("d", "D", BLUE), ("g", "G", VERMILION)):
                plot_by_epoch(losses, results.by_epoch[f"train/{name}_loss"], label, color)
            for value, color in ((d_balance, BLUE), (g_balance, VERMILION)):
                losses.axhline(value, color=color, linestyle=":", linewidth=1.2)
            right.set_title("D is right about held-out")
            for name, color in (("real", SKY), ("fake", VERMILION)):
                values = results.by_epoch.get(f"val/d_accuracy_{name}", {})
                plot_by_epoch(right, values, f"{name} blots", color)
            right.set_ylim(-0.05, 1.05)
            percent_axis(right.yaxis)
            for axes in (losses, right):
                axes.legend()

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        rows = [(pictures / 255).unbind() for pictures in kept[: self.images]]
        templates = [f"template {i + 1}" for i in range(len(rows[0]) - 2)]
        height = 7.2 / len(rows[0]) * len(rows) + 0.3
        title = f"Templates, generated, real ({where})"
        with figure(trainer, f"{prefix}blots", (7.2, height), title) as fig:
            draw_rows(fig, rows, (*templates, "generated", "real"))
