"""Progress: bars on a terminal, one plain line an epoch anywhere else."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme


def progress_bar() -> ProgressBar:
    """``RichBar`` if stdout is a terminal, else ``PlainLines`` (CI, nohup, a pipe)."""
    return RichBar() if sys.stdout.isatty() else PlainLines()


def metrics_that_matter(trainer: pl.Trainer) -> dict[str, float]:
    """Losses, what chooses the best checkpoint, and what a module logs with ``prog_bar=True``."""
    monitored = {getattr(callback, "monitor", None) for callback in trainer.checkpoint_callbacks}
    logged = trainer.callback_metrics
    return {
        name: float(value)
        for name, value in logged.items()
        if (name in monitored or name.endswith("loss") or name in trainer.progress_bar_metrics)
        # "loss_step" and "loss_epoch" are the same loss as "loss".
        and not (name.endswith(("_step", "_epoch")) and name.rpartition("_")[0] in logged)
    }


class RichBar(RichProgressBar):
    """Bars with the metrics that matter, those of the last validation included."""

    def __init__(self) -> None:
        theme = RichProgressBarTheme(
            progress_bar="#0072B2",
            progress_bar_finished="#0072B2",
            progress_bar_pulse="#0072B2",
            metrics="",
            metrics_text_delimiter="  ",
            metrics_format=".4f",
        )
        super().__init__(refresh_rate=10, theme=theme)
        self._metrics: dict[str, float] = {}

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        live = super().get_metrics(trainer, pl_module)
        live.pop("v_num", None)
        return {**self._metrics, **live}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._metrics |= metrics_that_matter(trainer)
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._metrics |= metrics_that_matter(trainer)
        super().on_train_epoch_end(trainer, pl_module)

    def _get_train_description(self, current_epoch: int) -> str:
        # Counted from 1, as in the figures and the report.
        return f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}".ljust(10)


class PlainLines(ProgressBar):
    """One line an epoch, without escape codes, for logs that are read later."""

    def disable(self) -> None:
        """Other ranks: ``_line`` is silent there."""

    def enable(self) -> None:
        """See ``disable``."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        took = time.monotonic() - self._start
        self._line(
            trainer,
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
            f"{took:.1f} s" if took < 120 else f"{took / 60:.1f} min",
        )

    def _line(self, trainer: pl.Trainer, head: str, tail: str) -> None:
        # On every rank: computing a metric gathers it from all.
        metrics = metrics_that_matter(trainer)
        if trainer.is_global_zero:
            values = [f"{name} {value:.4f}" for name, value in metrics.items()]
            print("  ".join([head, *values, tail]), flush=True)
