"""Figures of the AOI task: curves, confusion matrix, the most confident mistakes."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import HeldOutFigures, figure
from experiment.plotting import (
    BLUE,
    INK,
    MUTED,
    VERMILION,
    from_zero,
    image_grid,
    mark_best,
    plot_by_epoch,
    show_image,
)
from experiment.run_results import RunResults

MOST_NUMBERS, MOST_NAMES = 16, 64  # classes whose images are counted, and named, in the matrix


class AOIFigures(HeldOutFigures):
    """Losses and validation accuracy by epoch, confusion matrix, most confident mistakes.

    ``validation_step`` and ``test_step`` return ``probabilities`` ``(N, K)``, ``target`` and
    ``index`` ``(N,)``; the module has ``hparams.class_names``.

    Args:
        mistakes: most pictures in the grid of mistakes.
    """

    def __init__(self, mistakes: int = 12) -> None:
        super().__init__()
        self.mistakes = mistakes

    def keep(
        self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        probabilities = outputs["probabilities"].float().cpu()
        return probabilities, outputs["target"].cpu(), outputs["index"].cpu()

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        accuracy = results.by_epoch.get("val/accuracy", {})
        best = results.best_epoch if results.best_epoch in accuracy else None
        caption = f"The best epoch is {best}, by {results.monitor}." if best else ""
        title = "Losses and validation accuracy by epoch"
        # Not in one panel: the training loss may have class weights and label smoothing.
        losses = {
            "Training loss": (results.by_epoch["train/loss"], BLUE),
            "Validation loss\n(cross-entropy)": (results.by_epoch.get("val/loss", {}), VERMILION),
        }
        with figure(trainer, "curves", (7.2, 2.6), title, caption) as fig:
            *left, right = fig.subplots(1, 3)
            for axes, (name, (loss, color)) in zip(left, losses.items(), strict=True):
                axes.set_title(name)
                plot_by_epoch(axes, loss, name, color)
                from_zero(axes)
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
        names = trainer.lightning_module.hparams["class_names"]
        count = len(names)
        predicted = probabilities.argmax(dim=1)
        matrix = torch.bincount(labels * count + predicted, minlength=count**2).view(count, count)
        share = matrix / matrix.sum(dim=1, keepdim=True).clamp_min(1)
        right = int(matrix.diag().sum())
        caption = (
            f"{right:,} of {len(labels):,} images are classified right. Rows are true classes; "
            "color is the share of the row."
        )
        title = f"Confusion matrix ({where})"
        side = max(6.4, min(0.2 * count, 16))
        with figure(trainer, f"{prefix}confusion", (side, side - 1.2), title, caption) as fig:
            axes = fig.subplots()
            axes.set_title(f"Confusion matrix\n{where}", linespacing=1.4)
            axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
            axes.grid(False)
            axes.spines[:].set_visible(False)
            named = range(0, count, -(-count // MOST_NAMES))
            shown = [names[i] if len(names[i]) <= 24 else f"{names[i][:21]}..." for i in named]
            angle, above, size = (35, "top", 10) if count <= MOST_NUMBERS else (90, "center", 7)
            turned: dict[str, Any] = {
                "rotation": angle,
                "ha": "right",
                "va": above,
                "rotation_mode": "anchor",
            }
            axes.set_xticks(named, shown, **turned)
            axes.set_yticks(named, shown)
            axes.tick_params(labelsize=size, labelcolor=INK)
            axes.set_xlabel("predicted")
            axes.set_ylabel("true")
            for row in range(count) if count <= MOST_NUMBERS else ():
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
        names = trainer.lightning_module.hparams["class_names"]
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
                image = images[int(indices[one])]["image"]
                show_image(
                    axes,
                    to_dtype(image, torch.float32, scale=True),
                    f"true {names[int(labels[one])]}\npredicted "
                    f"{names[int(predicted[one])]} {confidence[one]:.0%}",
                )
