"""The callbacks that every run has, whatever its config names."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from callbacks.checkpoints import LastCheckpoint
from callbacks.compilation import Compilation
from callbacks.convolution_layout import ConvolutionLayout
from callbacks.epoch_seed import EpochSeed
from callbacks.last_validation import LastValidation
from callbacks.non_finite import NonFiniteGuard
from callbacks.progress import progress_bar
from callbacks.report_writer import ReportWriter
from callbacks.run_recorder import RunRecorder
from callbacks.shape_check import ShapeCheck
from callbacks.validation_table import ValidationTable


def standard_callbacks(config: Any, task: str) -> list[Callback]:
    """The callbacks for a subcommand's options and the task of its run."""
    callbacks: list[Callback] = [
        ShapeCheck(),
        NonFiniteGuard(),
        ConvolutionLayout(config.memory_format),
        Compilation(config.compile),
        LastValidation(),
        ValidationTable(),
    ]
    if config.seed_everything is not False:
        callbacks.append(EpochSeed(int(config.seed_everything)))
    if config.trainer.enable_progress_bar is not False:
        callbacks.append(progress_bar(task))
    # The report has the last word, below the bars.
    return [*callbacks, LastCheckpoint(), ReportWriter()]


def sort_callbacks(trainer: pl.Trainer) -> None:
    """Put first what must come before all others.

    Bad weights are refused before there is a record, which stands before others write;
    ModelCheckpoint stays last.
    """
    first = (NonFiniteGuard, RunRecorder)
    order: dict[type, int] = {kind: place for place, kind in enumerate(first)}
    trainer.callbacks.sort(key=lambda c: order.get(type(c), len(first)))  # type: ignore[attr-defined]
