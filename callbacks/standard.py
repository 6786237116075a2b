"""The callbacks of every run, in addition to those of its config."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ProgressBar

from callbacks.checkpoints import LastCheckpoint
from callbacks.checks import NonFiniteGuard, ShapeCheck
from callbacks.compilation import Compilation, ConvolutionLayout
from callbacks.epochs import EpochSeed, LastValidation
from callbacks.progress import Progress
from callbacks.run_recorder import ReportWriter, RunRecorder
from callbacks.validation_table import ValidationTable


def standard_callbacks(
    config: Any, task: str, given: Sequence[Callback] | Callback
) -> list[Callback]:
    """The standard callbacks.

    Args:
        config: options of the command.
        task: task of the run.
        given: the config's own; a progress bar among them replaces ours.
    """
    callbacks: list[Callback] = [
        ShapeCheck(),
        NonFiniteGuard(),
        ConvolutionLayout(),
        LastValidation(),
        ValidationTable(),
    ]
    if config.compile:
        callbacks.append(Compilation(config.compile))
    if config.seed_everything is not False:
        callbacks.append(EpochSeed(int(config.seed_everything)))
    several = given if isinstance(given, list) else [given]  # jsonargparse allows a single one
    own_bar = any(isinstance(callback, ProgressBar) for callback in several)
    if config.trainer.enable_progress_bar is not False and not own_bar:
        callbacks.append(Progress(task))
    # The report's lines come last, below the bars.
    return [*callbacks, LastCheckpoint(), ReportWriter()]


def sort_callbacks(trainer: pl.Trainer) -> None:
    """Put first the check of weights, then the recorder that makes the folder for all others."""
    first = (NonFiniteGuard, RunRecorder)
    trainer.callbacks.sort(key=lambda one: not isinstance(one, first))  # type: ignore[attr-defined]
