"""Figures and tables of the AOI task: curves, confusion matrix, mistakes, examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import HeldOutFigures, figure, write_rows
from callbacks.run_recorder import run_folder
from experiment.plotting import INK, image_grid, show_image

SHOWN = 12  # pictures in a grid
MAX_NUMBERS = 16  # classes whose images are counted in the matrix


class AOIFigures(HeldOutFigures):
    """Curves, confusion matrix, most confident mistakes, examples; tables of classes and mistakes.

    ``validation_step`` and ``test_step`` return ``probabilities`` ``(N, K)``, ``target`` and
    ``index`` ``(N,)``; the module has ``hparams.class_names``. The table of mistakes has all.
    """

    def keep(self, outputs: Any, batch: Any, kept: list[Any]) -> tuple[Tensor, Tensor, Tensor]:
        probabilities = outputs["probabilities"].float().cpu()
        return probabilities, outputs["target"].cpu(), outputs["index"].cpu()

    def one_loss(self, pl_module: Any) -> bool:
        """Validation's is plain cross-entropy."""
        loss = pl_module.loss
        return (
            isinstance(loss, nn.CrossEntropyLoss)
            and not loss.label_smoothing
            and loss.weight is None
        )

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        probabilities, labels, indices = (torch.cat(part) for part in zip(*kept, strict=True))
        class_names = trainer.lightning_module.hparams["class_names"]
        confidence, predicted = probabilities.max(dim=1)
        count = len(class_names)
        classes = labels, predicted, class_names
        _write_classes(trainer, *classes, f"{prefix}classes")
        _draw_confusion(trainer, *classes, f"{prefix}confusion", where)

        data = trainer.datamodule  # type: ignore[attr-defined]
        images = data.test_set if prefix else data.val_set
        order = confidence.argsort(descending=True)
        wrong = order[(predicted != labels)[order]].tolist()
        names = [images.name(index) for index in indices.tolist()]
        truth, answers = ([class_names[i] for i in x.tolist()] for x in (labels, predicted))
        rows = [(names[i], truth[i], answers[i], f"{confidence[i]:.4f}") for i in wrong]
        header = ("image", "true class", "predicted class", "confidence")
        write_rows(trainer, f"{prefix}mistakes", header, rows)
        by_class = [(labels == label).nonzero().flatten().tolist() for label in range(count)]
        each = max(1, SHOWN // count)
        examples = [i for part in by_class for i in part[:each]]
        grids = {
            "mistakes": (f"Most confident mistakes ({where})", wrong[:SHOWN]),
            "examples": (f"Examples of each class ({where})", examples[:SHOWN]),
        }
        for name, (title, shown) in grids.items():
            if not shown:  # an earlier process may have drawn some
                (run_folder(trainer) / "figures" / f"{prefix}{name}.png").unlink(missing_ok=True)
                continue
            columns = min(4, max(2, len(shown)))
            lines = -(-len(shown) // columns)
            caption = "Confidence is the probability of the predicted class."
            size = (1.8 * columns, 2.15 * lines)
            with figure(trainer, prefix + name, size, title, caption) as fig:
                panels = [axes for row in image_grid(fig, lines, columns) for axes in row]
                for axes, i in zip(panels, shown, strict=False):
                    image = to_dtype(images[int(indices[i])]["image"], torch.float32, scale=True)
                    text = f"{answers[i]} {100 * confidence[i]:.0f} %"
                    show_image(axes, image, f"true {truth[i]}\npredicted {text}")


def _write_classes(
    trainer: pl.Trainer, labels: Tensor, predicted: Tensor, names: Sequence[str], file: str
) -> None:
    """Precision, recall and support of each class; empty where there is nothing to divide by."""
    from sklearn.metrics import precision_recall_fscore_support

    every = range(len(names))
    precision, recall, _, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=np.nan
    )
    scores = [["" if np.isnan(x) else f"{x:.4f}" for x in row] for row in (precision, recall)]
    rows = list(zip(names, support.tolist(), *scores, strict=True))
    write_rows(trainer, file, ("class", "images", "precision", "recall"), rows)


def _draw_confusion(
    trainer: pl.Trainer,
    labels: Tensor,
    predicted: Tensor,
    names: Sequence[str],
    file: str,
    where: str,
) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    count = len(names)
    matrix = confusion_matrix(labels, predicted, labels=range(count))
    caption = (
        f"{matrix.trace():,} of {matrix.sum():,} images are classified correctly. "
        "Rows are true classes; color is the fraction of the row."
    )
    few = count <= MAX_NUMBERS
    shown = [f"{name[:21]}..." if len(name) > 24 else name for name in names]
    side = max(6.4, min(0.2 * count, 16))
    size = (side, side - 1.2)
    with figure(trainer, file, size, f"Confusion matrix ({where})", caption) as fig:
        axes = fig.subplots()
        axes.grid(False)
        axes.spines[:].set_visible(False)
        fraction = matrix / matrix.sum(axis=1, keepdims=True).clip(1)
        drawn = ConfusionMatrixDisplay(fraction, display_labels=shown).plot(
            include_values=few,
            cmap="Blues",
            xticks_rotation=35 if few else 90,
            ax=axes,
            colorbar=False,
            im_kw={"vmin": 0, "vmax": 1},
        )
        for text, number in zip(drawn.text_.flat if few else (), matrix.flat, strict=False):
            text.set_text(f"{number:,}")
        axes.tick_params(labelsize=10 if few else 7, labelcolor=INK)
        axes.set(xlabel="predicted", ylabel="true")
