"""Figures and tables of the AOI task: curves, confusion matrix, mistakes, examples."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import (
    HeldOutFigures,
    draw_curves,
    figure,
    remove_figure,
    write_rows,
)
from experiment.plotting import INK, image_grid, show_image
from experiment.run_results import RunResults

MAX_NUMBERS, MAX_NAMES = 16, 64  # classes whose images are counted, and named, in the matrix


class AOIFigures(HeldOutFigures):
    """Curves, confusion matrix, most confident mistakes, examples; tables of classes and mistakes.

    ``validation_step`` and ``test_step`` return ``probabilities`` ``(N, K)``, ``target`` and
    ``index`` ``(N,)``; the module has ``hparams.class_names``.

    Args:
        mistakes: pictures in the grid of mistakes, at most; the table has all of them.
        examples: pictures in the grid of examples, at most.
    """

    def __init__(self, mistakes: int = 12, examples: int = 12) -> None:
        super().__init__()
        self.mistakes, self.examples = mistakes, examples

    def keep(
        self, trainer: pl.Trainer, outputs: Any, batch: Any, kept: list[Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        probabilities = outputs["probabilities"].float().cpu()
        return probabilities, outputs["target"].cpu(), outputs["index"].cpu()

    def draw_curves(self, trainer: pl.Trainer, results: RunResults) -> None:
        loss: Any = trainer.lightning_module.loss
        # Validation's is plain cross-entropy.
        plain = isinstance(loss, nn.CrossEntropyLoss) and not loss.label_smoothing
        one_loss = plain and loss.weight is None
        draw_curves(trainer, results, "val/accuracy", "{:.2%}", one_loss)

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        probabilities, labels, indices = (torch.cat(part) for part in zip(*kept, strict=True))
        class_names = trainer.lightning_module.hparams["class_names"]
        confidence, predicted = probabilities.max(dim=1)
        count = len(class_names)
        matrix = torch.bincount(labels * count + predicted, minlength=count**2).view(count, count)
        _write_classes(trainer, matrix, class_names, f"{prefix}classes")
        _draw_confusion(trainer, matrix, class_names, f"{prefix}confusion", where)

        data = trainer.datamodule  # type: ignore[attr-defined]
        images = data.test_set if prefix else data.val_set
        order = confidence.argsort(descending=True)
        wrong = order[(predicted != labels)[order]].tolist()
        rows = [
            (
                images.name(int(indices[i])),
                class_names[int(labels[i])],
                class_names[int(predicted[i])],
                f"{confidence[i]:.4f}",
            )
            for i in wrong
        ]
        header = ("image", "true class", "predicted class", "confidence")
        write_rows(trainer, f"{prefix}mistakes", header, rows)
        by_class = [(labels == label).nonzero().flatten().tolist() for label in range(count)]
        each = max(1, self.examples // count)
        grids = {
            "mistakes": (f"Most confident mistakes ({where})", wrong[: self.mistakes]),
            "examples": (
                f"Examples of each class ({where})",
                [i for part in by_class for i in part[:each]][: self.examples],
            ),
        }
        for name, (title, shown) in grids.items():
            if not shown:
                remove_figure(trainer, prefix + name)
                continue
            columns = min(4, max(2, len(shown)))
            lines = -(-len(shown) // columns)
            caption = "Confidence is the probability of the predicted class."
            size = (1.8 * columns, 2.15 * lines)
            with figure(trainer, prefix + name, size, title, caption) as fig:
                panels = [axes for row in image_grid(fig, lines, columns) for axes in row]
                for axes, i in zip(panels, shown, strict=False):
                    image = to_dtype(images[int(indices[i])]["image"], torch.float32, scale=True)
                    truth, answer = class_names[int(labels[i])], class_names[int(predicted[i])]
                    text = f"{answer} {100 * confidence[i]:.0f} %"
                    show_image(axes, image, f"true {truth}\npredicted {text}")


def _write_classes(trainer: pl.Trainer, matrix: Tensor, names: Sequence[str], file: str) -> None:
    """Precision, recall and support of each class."""
    right, support, called = matrix.diag(), matrix.sum(dim=1), matrix.sum(dim=0)
    rows = [
        (
            name,
            int(support[i]),
            int(right[i]),
            f"{right[i] / called[i]:.4f}" if called[i] else "",
            f"{right[i] / support[i]:.4f}" if support[i] else "",
        )
        for i, name in enumerate(names)
    ]
    write_rows(trainer, file, ("class", "images", "right", "precision", "recall"), rows)


def _draw_confusion(
    trainer: pl.Trainer, matrix: Tensor, names: Sequence[str], file: str, where: str
) -> None:
    count = len(names)
    fraction = matrix / matrix.sum(dim=1, keepdim=True).clamp_min(1)
    caption = (
        f"{int(matrix.diag().sum()):,} of {int(matrix.sum()):,} images are classified correctly. "
        "Rows are true classes; color is the fraction of the row."
    )
    side = max(6.4, min(0.2 * count, 16))
    size = (side, side - 1.2)
    with figure(trainer, file, size, f"Confusion matrix ({where})", caption) as fig:
        axes = fig.subplots()
        axes.imshow(fraction.numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        named = range(0, count, -(-count // MAX_NAMES))
        shown = [names[i] if len(names[i]) <= 24 else f"{names[i][:21]}..." for i in named]
        few = count <= MAX_NUMBERS
        axes.set_xticks(
            named,
            shown,
            rotation=35 if few else 90,
            ha="right",
            va="top" if few else "center",
            rotation_mode="anchor",
        )
        axes.set_yticks(named, shown)
        axes.tick_params(labelsize=10 if few else 7, labelcolor=INK)
        axes.set(xlabel="predicted", ylabel="true")
        for row in range(count) if few else ():
            for column in range(count):
                number = int(matrix[row, column])
                axes.text(
                    column,
                    row,
                    f"{number:,}",
                    ha="center",
                    va="center",
                    weight="bold" if number and row != column else "normal",
                    color="white" if fraction[row, column] > 0.6 else INK if number else "#AFB8C1",
                )
