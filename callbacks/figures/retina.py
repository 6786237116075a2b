"""Figures of the retina task: losses, PSNR, original / reconstruction / difference."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.figures.held_out import HeldOutFigures, draw_rows, figure, to_pixels

SHOWN = 3  # photographs
FACTOR = 10  # by which differences are amplified


class RetinaFigures(HeldOutFigures):
    """Loss and PSNR by epoch, and originals beside their reconstructions.

    ``validation_step`` and ``test_step`` return ``reconstruction``: copies ``(3, h, w)`` in [-1, 1]
    without padding.
    """

    def keep(self, outputs: Any, batch: Any, count: int) -> list[Tensor]:
        """Pairs uint8 ``(2, 3, H, W)`` of an original and its reconstruction."""
        pairs = list(zip(batch["image"], outputs["reconstruction"], strict=True))
        return [
            to_pixels(torch.stack([image[:, : copy.shape[1], : copy.shape[2]].to(copy), copy]))
            for image, copy in pairs[: max(0, SHOWN - count)]
        ]

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        pairs = [(pair / 255).unbind() for pair in kept[:SHOWN]]
        rows = [(x, y, (x - y).abs() * FACTOR) for x, y in pairs]
        title = f"Original, reconstruction and their difference ({where})"
        caption = f"The difference, channel by channel, is amplified {FACTOR} times."
        size = (7.2, 2.4 * len(rows) + 0.3)
        with figure(trainer, f"{prefix}reconstructions", size, title, caption) as fig:
            draw_rows(fig, rows, ("original", "reconstruction", f"difference x {FACTOR}"))
