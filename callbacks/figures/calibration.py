"""Calibration figures: reliability diagram and accuracy by coverage."""

from collections.abc import Mapping
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from callbacks.figures.held_out import figure
from experiment.plotting import BLUE, INK, MUTED, VERMILION
from inference.calibration import accuracy_coverage, reliability


class Judged(NamedTuple):
    """Probabilities ``(N, K)`` of images, and their classes ``(N,)``."""

    probabilities: Tensor
    target: Tensor

    @property
    def confidence(self) -> Tensor:
        """The greatest probability of each image, ``(N,)``."""
        return self.probabilities.max(dim=1).values

    @property
    def correct(self) -> Tensor:
        """Whether the most probable class is the true one, bool ``(N,)``."""
        return self.probabilities.argmax(dim=1) == self.target

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: confidence less accuracy, in 15 bins, weighted by count."""
        classes = self.probabilities.shape[1]
        return float(multiclass_calibration_error(*self, num_classes=classes, n_bins=15))


def draw_reliability(
    trainer: pl.Trainer, name: str, where: str, judged: Mapping[str, Judged], note: str = ""
) -> None:
    """Accuracy by confidence, with 95 % intervals; on the diagonal one is as right as sure.

    Args:
        trainer: whose run the figure belongs to.
        name: of the figure's file.
        where: "validation" or "test", for the title.
        judged: the same images, by what the probabilities are.
        note: of the caption.
    """
    errors = [f"{key} {one.calibration_error:.3f}" for key, one in judged.items()]
    caption = (
        f"Expected calibration error: {', '.join(errors)}. Bars are 95 % intervals, areas the "
        f"number of images. {note}"
    ).strip()
    title = f"Confidence and accuracy ({where})"
    with figure(trainer, name, (5.4, 4.4), title, caption) as fig:
        axes = fig.subplots()
        axes.set_title(title)
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        for color, (key, one) in zip((VERMILION, BLUE), list(judged.items())[-2:], strict=False):
            bins = reliability(one.confidence, one.correct)
            distance = torch.stack([bins.accuracy - bins.low, bins.high - bins.accuracy])
            axes.errorbar(
                bins.confidence,
                bins.accuracy,
                yerr=distance.clamp_min(0).numpy(),
                color=color,
                linewidth=1.2,
            )
            size = 15 + 150 * bins.images / bins.images.sum()
            axes.scatter(bins.confidence, bins.accuracy, size, color=color, label=key, zorder=3)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy")
        axes.legend()


def draw_coverage(trainer: pl.Trainer, name: str, where: str, judged: Judged) -> None:
    """Accuracy of the most confident part of the images, with its 95 % interval."""
    curve = accuracy_coverage(judged.confidence, judged.correct)
    half = int((curve.coverage >= 0.5).nonzero()[0])
    caption = (
        f"Of all {len(judged.target):,} images {curve.accuracy[-1]:.1%} are right; of the "
        f"{curve.coverage[half]:.0%} with a confidence of {curve.threshold[half]:.2f} or more, "
        f"{curve.accuracy[half]:.1%} ({curve.low[half]:.1%} to {curve.high[half]:.1%}). The band "
        "is the 95 % interval at each coverage."
    )
    title = f"Accuracy of the most confident images ({where})"
    with figure(trainer, name, (6.4, 3.4), title, caption) as fig:
        axes = fig.subplots()
        axes.set_title(title)
        percent = [100 * column for column in (curve.coverage, curve.accuracy)]
        axes.fill_between(
            percent[0], 100 * curve.low, 100 * curve.high, color=BLUE, alpha=0.2, linewidth=0
        )
        axes.plot(*percent, color=BLUE)
        axes.plot([100], percent[1][-1:], "D", color=INK, ms=7, clip_on=False)
        axes.set(xlim=(0, 101), xlabel="most confident images", ylabel="accuracy")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g} %")
