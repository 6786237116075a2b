"""Times and memory of a run of cli.py, for the benchmarks."""

import json
import resource
import time
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback


def peak_memory() -> float:
    """Largest resident set of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Clock(Callback):
    """Writes the seconds of each epoch and step, and of all before them, to a JSON file.

    An epoch includes its validation; a step is from the end of the one before, so its loading
    counts. ``before`` is from the call of ``fit`` to the first epoch: data, feature cache.
    ``first_step`` is the time of day of the first step's end, ``peak`` the process's largest
    resident set in GiB, without its workers.
    """

    def __init__(self, path: str, quality: str) -> None:
        self.path, self.quality = Path(path), quality
        self.epochs: list[float] = []
        self.steps: list[float] = []
        self.scores: list[float] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._start = time.perf_counter()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.before = time.perf_counter() - self._start

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch = self._last = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        now = time.perf_counter()
        if not self.steps:
            self.first_step = time.time()
        self.steps.append(now - self._last)
        self._last = now

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(time.perf_counter() - self._epoch)
        if self.quality in trainer.callback_metrics:  # not every epoch need be validated
            self.scores.append(float(trainer.callback_metrics[self.quality]))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        record = {
            "first_step": self.first_step,
            "peak": peak_memory(),
            "before": self.before,
            "epoch_seconds": self.epochs,
            "step_seconds": self.steps,
            "scores": self.scores,
        }
        self.path.write_text(json.dumps(record))
