"""Figures of the AOI task: curves, confusion matrix, the most confident mistakes."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figure import (
    BLUE,
    INK,
    MUTED,
    VERMILION,
    figure,
    from_zero,
    image_grid,
    mark_best,
    plot_by_epoch,
    show,
)
from callbacks.held_out import HeldOutFigures
from callbacks.results import Results


class AOIFigures(HeldOutFigures):
    """Train loss and validation accuracy by epoch, confusion matrix, most confident mistakes.

    ``validation_step`` and ``test_step`` return class probabilities ``(N, num_classes)``.

    Args:
        mistakes: most pictures in the grid of mistakes.
    """

    def __init__(self, mistakes: int = 12) -> None:
        super().__init__()
        self.mistakes = mistakes

    def keep(
        self, trainer: pl.Trainer, outputs: Tensor, batch: Any, kept: list[Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        _, labels, indices = batch
        return outputs.float().cpu(), labels.cpu(), indices.cpu()

    def draw_curves(self, trainer: pl.Trainer, results: Results) -> None:
        accuracy = results.by_epoch.get("val/accuracy", {})
        best = results.best_epoch if results.best_epoch in accuracy else None
        caption = f"Validation accuracy is best in epoch {best}." if best else ""
        title = "Train loss and validation accuracy by epoch"
        with figure(trainer, "curves", (7.2, 3), title, caption) as fig:
            left, right = fig.subplots(1, 2)
            left.set_title("Loss (cross-entropy)")
            plot_by_epoch(left, results.by_epoch["train/loss"], "train", BLUE)
            if "val/loss" in results.by_epoch:
                plot_by_epoch(left, results.by_epoch["val/loss"], "validation", VERMILION)
            from_zero(left)
            left.legend()
            right.set_title("Validation accuracy")
            percent = {epoch: 100 * value for epoch, value in accuracy.items()}
            plot_by_epoch(right, percent, "validation", VERMILION)
            right.yaxis.set_major_formatter("{x:g} %")
            if best:
                mark_best(right, best, percent[best], f"{percent[best]:.2f} %, epoch {best}")

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        probabilities, labels, indices = (torch.cat(part) for part in zip(*kept, strict=True))
        self._draw_confusion(trainer, probabilities, labels, prefix, where)
        self._draw_mistakes(trainer, probabilities, labels, indices, prefix, where)

    def _draw_confusion(
        self, trainer: pl.Trainer, probabilities: Tensor, labels: Tensor, prefix: str, where: str
    ) -> None:
        names = trainer.datamodule.class_names  # type: ignore[attr-defined]
        count = len(names)
        predicted = probabilities.argmax(dim=1)
        matrix = torch.bincount(labels * count + predicted, minlength=count**2).view(count, count)
        share = matrix / matrix.sum(dim=1, keepdim=True).clamp_min(1)
        right = int(matrix.diag().sum())
        caption = (
            f"{right:,} of {len(labels):,} images are classified right. Rows are true classes; "
            "colour is the share of the row."
        )
        title = f"Confusion matrix ({where})"
        with figure(trainer, f"{prefix}confusion", (6.4, 5.2), title, caption) as fig:
            axes = fig.subplots()
            axes.set_title(f"Confusion matrix\n{where}", linespacing=1.4)
            axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
            axes.grid(False)
            axes.spines[:].set_visible(False)
            axes.set_xticks(range(count), names, rotation=35, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(count), names)
            axes.tick_params(labelsize=10, labelcolor=INK)
            axes.set_xlabel("predicted")
            axes.set_ylabel("true")
            for row in range(count):
                for column in range(count):
                    number = int(matrix[row, column])
                    axes.text(
                        column,
                        row,
                        f"{number:,}",
                        ha="center",
                        va="center",
                        weight="bold" if number and row != column else "normal",
                        color="white" if share[row, column] > 0.6 else INK if number else "#AFB8C1",
                    )

    def _draw_mistakes(
        self,
        trainer: pl.Trainer,
        probabilities: Tensor,
        labels: Tensor,
        indices: Tensor,
        prefix: str,
        where: str,
    ) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        images = data.test_set if prefix else data.val_set
        confidence, predicted = probabilities.max(dim=1)
        wrong = (predicted != labels).nonzero().flatten()
        shown = wrong[confidence[wrong].argsort(descending=True)][: self.mistakes].tolist()
        title = f"Most confident mistakes ({where})"
        caption = (
            f"{len(shown)} of {len(wrong)} mistakes, the most confident first, each with its true "
            "and its predicted class and the probability given to the latter."
            if shown
            else f"None of the {len(labels):,} images is classified wrong."
        )
        columns = min(4, max(2, len(shown)))
        lines = max(1, -(-len(shown) // columns))
        size = (1.8 * columns, 2.15 * lines) if shown else (6.4, 1)
        with figure(trainer, f"{prefix}mistakes", size, title, caption) as fig:
            if not shown:
                fig.text(0.5, 0.5, "no mistakes", ha="center", va="center", color=MUTED)
                return
            panels = [axes for row in image_grid(fig, lines, columns) for axes in row]
            for axes, one in zip(panels, shown, strict=False):
                image, label, _ = images[int(indices[one])]
                show(
                    axes,
                    to_dtype(image, torch.float32, scale=True),
                    f"true {data.class_names[label]}\npredicted "
                    f"{data.class_names[int(predicted[one])]} {confidence[one]:.0%}",
                )
