"""Figures of the retina task: losses, PSNR, original / reconstruction / difference."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks.figures.held_out import HeldOutFigures, figure
from experiment.plotting import image_grid, show_image

SHOWN = 3  # photographs
FACTORS = (100, 50, 20, 10, 5, 2, 1)  # by which differences may be amplified


class RetinaFigures(HeldOutFigures):
    """Loss and PSNR by epoch, and originals beside their reconstructions.

    ``validation_step`` and ``test_step`` return ``reconstruction``: copies ``(3, h, w)`` in [-1, 1]
    without padding.
    """

    def keep(self, outputs: Any, batch: Any, kept: list[Any]) -> list[Tensor]:
        """Pairs uint8 ``(2, 3, H, W)`` of an original and its reconstruction."""
        pairs = []
        for copy, image in zip(outputs["reconstruction"], batch["image"], strict=True):
            original = image[:, : copy.shape[1], : copy.shape[2]]
            pair = torch.stack([original.float(), copy]).clamp(-1, 1)
            pairs.append(((pair + 1) * 127.5).round().to(torch.uint8).cpu())
        return pairs[: SHOWN - sum(map(len, kept))]

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        pairs = [(pair / 255).unbind() for part in kept for pair in part]
        differences = torch.cat([(original - copy).abs().flatten() for original, copy in pairs])
        high = float(differences[:: max(1, len(differences) // 10**6)].quantile(0.99))
        factor = next((f for f in FACTORS if f * high <= 1), 1)  # a few may be out of range
        title = f"Original, reconstruction and their difference ({where})"
        caption = f"The difference, channel by channel, is amplified {factor} times."
        size = (7.2, 2.4 * len(pairs) + 0.3)
        with figure(trainer, f"{prefix}reconstructions", size, title, caption) as fig:
            rows = image_grid(fig, len(pairs), 3)
            names = ("original", "reconstruction", f"difference x {factor}")
            for row, (original, copy) in zip(rows, pairs, strict=True):
                images = (original, copy, (original - copy).abs() * factor)
                for axes, image, name in zip(row, images, names, strict=True):
                    show_image(axes, image, name if row is rows[0] else "")
