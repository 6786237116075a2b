"""Figures and tables of the AOI task: curves, confusion matrix, mistakes, examples."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_dtype

from callbacks.figures.held_out import HeldOutFigures, figure
from callbacks.run_recorder import run_folder
from experiment.atomic import write_table
from experiment.plotting import INK, image_grid, show_image

SHOWN = 12  # pictures in a grid
COLUMNS = 4
MAX_NUMBERS = 16  # classes whose images are counted in the matrix


class AOIFigures(HeldOutFigures):
    """Curves, confusion matrix, most confident mistakes, examples; tables of classes and mistakes.

    ``validation_step`` and ``test_step`` return ``probabilities`` ``(N, K)``, ``target`` and
    ``index`` ``(N,)``; the module has ``hparams.class_names``. The table of mistakes has all.
    """

    def keep(self, outputs: Any, batch: Any, count: int) -> list[tuple[Tensor, ...]]:
        probabilities = outputs["probabilities"].float().cpu()
        return [(probabilities, outputs["target"].cpu(), outputs["index"].cpu())]

    def one_loss(self, pl_module: Any) -> bool:
        """Validation's is plain cross-entropy."""
        loss = pl_module.loss
        plain = isinstance(loss, nn.CrossEntropyLoss) and loss.weight is None
        return plain and not loss.label_smoothing

    def draw(self, trainer: pl.Trainer, kept: list[Any], prefix: str, where: str) -> None:
        import pandas as pd
        from sklearn.metrics import precision_recall_fscore_support

        probabilities, labels, indices = (torch.cat(part) for part in zip(*kept, strict=True))
        names = trainer.lightning_module.hparams["class_names"]
        confidence, predicted = probabilities.max(dim=1)
        data = trainer.datamodule  # type: ignore[attr-defined]
        images = data.test_set if prefix else data.val_set
        every = pd.DataFrame(
            {
                "image": [images.name(index) for index in indices.tolist()],
                "true class": [names[label] for label in labels],
                "predicted class": [names[label] for label in predicted],
                "confidence": confidence.double(),
                "index": indices,
            }
        )
        classes = every["true class"], every["predicted class"]
        _draw_confusion(trainer, prefix, where, classes, names)
        precision, recall, _, support = precision_recall_fscore_support(
            *classes, labels=names, zero_division=np.nan
        )
        scores = [["" if np.isnan(x) else f"{x:.4f}" for x in y] for y in (precision, recall)]
        folder = run_folder(trainer) / "figures"
        table = {"class": names, "images": support, "precision": scores[0], "recall": scores[1]}
        write_table(folder / f"{prefix}classes.csv", [*table], zip(*table.values(), strict=True))

        wrong = every[classes[0] != classes[1]].sort_values("confidence", ascending=False)
        for path in folder.glob(f"{prefix}mistakes.*"):
            path.unlink()  # of an earlier process
        if len(wrong):
            shown = wrong.drop(columns="index").round(4)
            write_table(folder / f"{prefix}mistakes.csv", [*shown], shown.to_numpy().tolist())
            title = f"Most confident mistakes ({where})"
            _draw_grid(trainer, f"{prefix}mistakes", title, images, wrong)
        examples = every.groupby("true class", sort=False).head(max(1, SHOWN // len(names)))
        title = f"Examples of each class ({where})"
        examples = examples.sort_values("true class")
        _draw_grid(trainer, f"{prefix}examples", title, images, examples)


def _draw_grid(trainer: pl.Trainer, file: str, title: str, images: Any, table: Any) -> None:
    """The first images of a table with their classes."""
    table = table.head(SHOWN)
    lines = -(-len(table) // COLUMNS)
    caption = "Confidence is the probability of the predicted class."
    with figure(trainer, file, (1.8 * COLUMNS, 2.15 * lines), title, caption) as fig:
        panels = chain.from_iterable(image_grid(fig, lines, COLUMNS))
        for axes, row in zip(panels, table.itertuples(index=False, name=None), strict=False):
            _, true, predicted, confidence, index = row
            image = to_dtype(images[index]["image"], torch.float32, scale=True)
            text = f"true {true}\npredicted {predicted} {100 * confidence:.0f} %"
            show_image(axes, image, text)


def _draw_confusion(
    trainer: pl.Trainer, prefix: str, where: str, classes: Sequence[Any], names: Sequence[str]
) -> None:
    from sklearn.metrics import ConfusionMatrixDisplay

    right = int((classes[0] == classes[1]).sum())
    caption = f"{right:,} of {len(classes[0]):,} images are classified correctly."
    side = max(6.4, min(0.2 * len(names), 16))
    size, title = (side, side - 1.2), f"Confusion matrix ({where})"
    with figure(trainer, f"{prefix}confusion", size, title, caption) as fig:
        axes = fig.subplots()
        ConfusionMatrixDisplay.from_predictions(
            *classes,
            labels=names,
            include_values=len(names) <= MAX_NUMBERS,
            cmap="Blues",
            xticks_rotation=45,
            ax=axes,
            colorbar=False,
        )
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(labelcolor=INK)
