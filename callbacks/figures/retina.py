"""Figures of the retina task: losses, PSNR, original / reconstruction / difference."""

from typing import Any

import pytorch_lightning as pl
import torch

from callbacks.figures.held_out import HeldOutFigures, figure
from experiment.plotting import (
    BLUE,
    VERMILION,
    image_grid,
    mark_best,
    plot_by_epoch,
    reference_line,
    show_image,
)
from experiment.run_results import RunResults


class RetinaFigures(HeldOutFigures):
    """Loss and PSNR by epoch with the 30 dB line, and originals beside their reconstructions.

    ``validation_step`` and ``test_step`` return ``reconstruction`` ``(N, 3, H, W)`` in [-1, 1].

    Args:
        images: photographs that are shown.
    """

    def __init__(self, images: int = 3) -> None:
        super().__init__()
        self.images = images

    def keep(self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]) -> Any:
        """Pairs uint8 ``(2, 3, H, W)`` of an original and its reconstruction."""
        missing = self.images - sum(len(part) for part in kept)
        if missing <= 0:
            return None
        originals, sizes = batch["image"][:missing], batch["input_size"].tolist()
        copies = outputs["reconstruction"][:missing]
        pairs = torch.stack([originals.float(), copies.float()], dim=1)
        pixels = ((pairs.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
        return [pair[..., :h, :w] for pair, (h, w) in zip(pixels, sizes, strict=False)]

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        psnr, best = results.by_epoch.get("val/psnr", {}), results.best_epoch
        caption = f"The best epoch is {best}, by {results.monitor}." if best else ""
        with figure(trainer, "curves", (7.2, 3), "Loss and PSNR by epoch", caption) as fig:
            left, right = fig.subplots(1, 2)
            left.set_title("Loss")
            plot_by_epoch(left, results.by_epoch["train/loss"], "train", BLUE)
            plot_by_epoch(left, results.by_epoch.get("val/loss", {}), "validation", VERMILION)
            if min(results.by_epoch["train/loss"].values(), default=0) > 0:  # PSNR's is negative
                left.set_yscale("log")
            left.legend()
            right.set_title("PSNR in dB")
            plot_by_epoch(right, psnr, "validation", VERMILION)
            reference_line(right, 30, "30 dB")
            if best in psnr:
                mark_best(right, best, psnr[best], f"{psnr[best]:.2f} dB, epoch {best}")

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        pairs = [(pair / 255).unbind() for part in kept for pair in part][: self.images]
        differences = [(original - copy).abs() for original, copy in pairs]
        # The largest round factor that keeps all but the largest 1 % of differences in range.
        high = float(
            torch.cat([d.flatten()[:: max(1, d.numel() // 10**5)] for d in differences]).quantile(
                0.99
            )
        )
        factor = max((f for f in (1, 2, 5, 10, 20, 50, 100) if f * high <= 1), default=1)
        title = f"Original, reconstruction and their difference ({where})"
        caption = f"The difference, channel by channel, is amplified {factor} times."
        size = (7.2, 2.4 * len(pairs) + 0.3)
        with figure(trainer, f"{prefix}reconstructions", size, title, caption) as fig:
            rows = image_grid(fig, len(pairs), 3)
            names = ("original", "reconstruction", f"difference x {factor}")
            for row, (original, copy), difference in zip(rows, pairs, differences, strict=True):
                images = (original, copy, difference * factor)
                for axes, image, name in zip(row, images, names, strict=True):
                    show_image(axes, image, name if row is rows[0] else "")
