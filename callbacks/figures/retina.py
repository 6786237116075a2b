"""Figures of the retina task: losses, PSNR, original / reconstruction / difference."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from callbacks.figures.held_out import HeldOutFigures, draw_rows, figure
from lit_models.postprocessing.pixels import to_unit

SHOWN = 3  # photographs
FACTOR = 10  # by which differences are amplified


class RetinaFigures(HeldOutFigures):
    """Loss and PSNR by epoch, and originals beside their reconstructions.

    ``validation_step`` and ``test_step`` return ``reconstruction``: copies ``(3, h, w)`` in [-1, 1]
    without padding.
    """

    def keep(self, outputs: Any, batch: Any, count: int) -> list[tuple[Tensor, Tensor]]:
        """Pairs of an original and its reconstruction, each ``(3, H, W)`` in [0, 1]."""
        pairs = list(zip(batch["image"], outputs["reconstruction"], strict=True))
        return [
            (to_unit(image[:, : copy.shape[1], : copy.shape[2]]).cpu(), to_unit(copy).cpu())
            for image, copy in pairs[: max(0, SHOWN - count)]
        ]

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        rows = [(x, y, (x - y).abs() * FACTOR) for x, y in kept[:SHOWN]]
        title = f"Original, reconstruction and their difference ({where})"
        caption = f"The difference, channel by channel, is amplified {FACTOR} times."
        size = (7.2, 2.4 * len(rows) + 0.3)
        with figure(trainer, f"{prefix}reconstructions", size, title, caption) as fig:
            draw_rows(fig, rows, ("original", "reconstruction", f"difference x {FACTOR}"))
