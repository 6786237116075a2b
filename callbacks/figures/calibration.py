"""The calibration figure: reliability diagram and accuracy by coverage."""

from collections.abc import Mapping
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from callbacks.figures.held_out import figure, remove_figure
from experiment.plotting import BLUE, INK, MUTED, VERMILION, percent_axis
from inference.calibration import accuracy_coverage, reliability


class Judged(NamedTuple):
    """Probabilities ``(N, K)`` of images, and their classes ``(N,)``."""

    probabilities: Tensor
    target: Tensor

    @property
    def confidence(self) -> Tensor:
        """The highest probability of each image, ``(N,)``."""
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


def draw_calibration(
    trainer: pl.Trainer, name: str, where: str, judged: Mapping[str, Judged], note: str = ""
) -> None:
    """Accuracy by confidence, and accuracy of the most confident images, with 95 % intervals.

    Nothing is drawn where all images are classified correctly.

    Args:
        trainer: of the run.
        name: of the figure's file.
        where: "validation" or "test", for the title.
        judged: the same images, by what the probabilities are; the last is drawn on the right.
        note: for the caption.
    """
    last = list(judged.values())[-1]
    if bool(last.correct.all()):
        remove_figure(trainer, name)
        return
    curve = accuracy_coverage(last.confidence, last.correct)
    half = int((curve.coverage >= 0.5).nonzero()[0])
    errors = [f"{key} {one.calibration_error:.3f}" for key, one in judged.items()]
    percent = [f"{100 * float(part[half]):.1f} %" for part in curve[2:]]
    caption = (
        f"Left: expected calibration error {', '.join(errors)}; the area of a dot is the number of "
        f"images. Right: of the {100 * curve.coverage[half]:.0f} % of images with a confidence of "
        f"{curve.threshold[half]:.2f} or more, {percent[0]} are classified correctly. Bars and band"
        f" are 95 % intervals. {note}"
    ).strip()
    with figure(trainer, name, (7.2, 3.4), f"Confidence and accuracy ({where})", caption) as fig:
        left, right = fig.subplots(1, 2)
        left.set_title("Accuracy by confidence")
        left.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2, zorder=1)
        for color, (key, one) in zip((VERMILION, BLUE), list(judged.items())[-2:], strict=False):
            bins = reliability(one.confidence, one.correct)
            distance = torch.stack([bins.accuracy - bins.low, bins.high - bins.accuracy])
            yerr = distance.clamp_min(0).numpy()
            left.errorbar(bins.confidence, bins.accuracy, yerr=yerr, color=color, linewidth=1.2)
            size = 15 + 150 * bins.images / bins.images.sum()
            left.scatter(bins.confidence, bins.accuracy, size, color=color, label=key, zorder=3)
        left.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence")
        left.legend()
        right.set_title("Accuracy of the most confident")
        right.fill_between(curve.coverage, curve.low, curve.high, color=BLUE, alpha=0.2, lw=0)
        right.plot(curve.coverage, curve.accuracy, color=BLUE)
        right.plot(1, curve.accuracy[-1], "D", color=INK, ms=7, clip_on=False)
        right.set(xlim=(0, 1.01), xlabel="most confident images")
        for axis in (left.xaxis, left.yaxis, right.xaxis, right.yaxis):
            percent_axis(axis)
