"""Figures of the blot task: losses, D's accuracy, and generated blots."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.figures.held_out import Curves, HeldOutFigures, draw_rows, figure
from lit_models.postprocessing.pixels import to_unit

SHOWN = 4  # blots


class BlotFigures(HeldOutFigures):
    """D and G loss by epoch, D's accuracy, and templates beside generated and real blots.

    ``validation_step`` and ``test_step`` return ``image``, the generated blots ``(N, C, H, W)`` in
    [-1, 1].
    """

    def keep(self, outputs: Any, batch: Any, count: int) -> list[Tensor]:
        """``(P, C, H, W)`` in [0, 1] of each blot: its templates, generated, real."""
        templates, targets = batch["image"], batch["target"]
        pictures = torch.cat([templates, outputs["image"].to(targets), targets], dim=1)
        shown = to_unit(pictures[: max(0, SHOWN - count)]).cpu()
        return [*shown.unflatten(1, (-1, targets.shape[1]))]

    def curves(self, pl_module: Any, by_epoch: Curves) -> dict[str, Curves]:
        right = {kind: by_epoch.get(f"val/d_accuracy_{kind}", {}) for kind in ("real", "fake")}
        losses = {name: by_epoch[f"train/{name.lower()}_loss"] for name in ("D", "G")}
        return {"Loss": losses, "Accuracy of D": right}

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        rows = kept[:SHOWN]
        templates = [f"template {i + 1}" for i in range(len(rows[0]) - 2)]
        height = 7.2 / len(rows[0]) * len(rows) + 0.3
        title = f"Templates, generated, real ({where})"
        with figure(trainer, f"{prefix}blots", (7.2, height), title) as fig:
            draw_rows(fig, rows, (*templates, "generated", "real"))
