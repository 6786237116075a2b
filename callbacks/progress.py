"""Progress: bars on a terminal, one plain line an epoch anywhere else."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar, RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import RichProgressBarTheme

from experiment.metric_names import main_metrics


def progress_bar(task: str) -> ProgressBar:
    """``RichBar`` if stdout is a terminal, else ``PlainLines`` (CI, nohup, a pipe)."""
    return RichBar(task) if sys.stdout.isatty() else PlainLines(task)


def shown_metrics(trainer: pl.Trainer, task: str) -> dict[str, float]:
    """The task's first validation metric, losses, and what chooses the best checkpoint."""
    logged = trainer.callback_metrics
    shown = {getattr(callback, "monitor", None) for callback in trainer.checkpoint_callbacks}
    shown.update(main_metrics(task, "val", logged)[:1])
    return {
        name: float(value)
        for name, value in logged.items()
        if name in shown or name.endswith("loss")
    }


class RichBar(RichProgressBar):
    """Bars with `shown_metrics`, those of the last validation included."""

    def __init__(self, task: str) -> None:
        super().__init__(refresh_rate=10, theme=RichProgressBarTheme(metrics_format=".4f"))
        self._task = task
        self._metrics: dict[str, float] = {}

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        live = super().get_metrics(trainer, pl_module)
        live.pop("v_num", None)
        return {**self._metrics, **live}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._metrics |= shown_metrics(trainer, self._task)
        super().on_validation_end(trainer, pl_module)

    # The module logs its own metrics of an epoch after this callback's on_train_epoch_end.
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._metrics |= shown_metrics(trainer, self._task)
        super().on_train_epoch_start(trainer, pl_module)


class PlainLines(ProgressBar):
    """One line an epoch, without escape codes, for logs that are read later."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self._task = task
        self._ended: tuple[int, float] | None = None  # epoch, seconds
        self._start = time.monotonic()

    def disable(self) -> None:
        """Nothing to do: lines are printed on rank 0 alone."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print(trainer)
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._ended = (trainer.current_epoch + 1, time.monotonic() - self._start)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: pl.Trainer) -> None:
        # After the epoch's end, because the module logs after its callbacks. On every rank, because
        # computing a metric gathers it from all.
        metrics = shown_metrics(trainer, self._task)
        if self._ended is not None and trainer.is_global_zero:
            epoch, took = self._ended
            words = [f"epoch {epoch}/{trainer.max_epochs}"]
            words += [f"{name} {value:.4f}" for name, value in metrics.items()]
            words.append(f"{took:.1f} s" if took < 120 else f"{took / 60:.1f} min")
            left = took * ((trainer.max_epochs or 0) - epoch) / 60
            if left >= 1:
                words.append(f"about {left:.0f} min left")
            print("  ".join(words), flush=True)
        self._ended = None
