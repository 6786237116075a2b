"""The callbacks of every run, in addition to those of its config."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning.callbacks import Callback, ProgressBar

from callbacks.checkpoints import LastCheckpoint
from callbacks.checks import NonFiniteGuard, ShapeCheck
from callbacks.compilation import Compilation, ConvolutionLayout
from callbacks.epochs import EpochSeed, LastValidation
from callbacks.progress import Progress
from callbacks.run_recorder import ReportWriter, RunRecorder
from callbacks.validation_table import ValidationTable


def all_callbacks(
    config: Any, recorder: RunRecorder, given: Sequence[Callback] | Callback
) -> list[Callback]:
    """The standard callbacks around the config's own, in the order in which they are called.

    Args:
        config: options of the command.
        recorder: makes the folder for all others.
        given: the config's own; a progress bar among them replaces ours.
    """
    several = list(given) if isinstance(given, Sequence) else [given]
    callbacks = [recorder, *several, ShapeCheck(), NonFiniteGuard(), ConvolutionLayout()]
    callbacks += [LastValidation(), ValidationTable()]
    if config.compile:
        callbacks.append(Compilation(config.compile))
    if config.seed_everything is not False:
        callbacks.append(EpochSeed(int(config.seed_everything)))
    own_bar = any(isinstance(callback, ProgressBar) for callback in several)
    if config.trainer.enable_progress_bar is not False and not own_bar:
        callbacks.append(Progress(recorder.run.task))
    # The report's lines come last, below the bars.
    return [*callbacks, LastCheckpoint(), ReportWriter()]
