"""Progress: one line an epoch, and bars on a terminal."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

from experiment.tasks import main_metrics


class Progress(RichProgressBar):
    """One line an epoch; on a terminal also Lightning's bars.

    It shows the task's first validation metric, losses, and what chooses the best checkpoint.
    """

    def __init__(self, task: str) -> None:
        super().__init__(refresh_rate=10 if sys.stdout.isatty() else 0)  # 0: no bars
        self._task = task
        self._ended: tuple[int, float] | None = None  # epoch, seconds
        self._start = time.monotonic()

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        return {}  # they are in the lines

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print(trainer)
        self._start = time.monotonic()
        super().on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._ended = (trainer.current_epoch + 1, time.monotonic() - self._start)
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._print(trainer)
        super().on_train_end(trainer, pl_module)

    def _print(self, trainer: pl.Trainer) -> None:
        # After the epoch's end, because the module logs after its callbacks. On every rank, because
        # computing a metric gathers it from all.
        logged = trainer.callback_metrics
        if self._ended is not None and trainer.is_global_zero:
            shown = {
                getattr(callback, "monitor", None) for callback in trainer.checkpoint_callbacks
            }
            shown.update(main_metrics(self._task, "val", logged)[:1])
            shown.update(name for name in logged if name.endswith("loss"))
            epoch, took = self._ended
            values = [f"{name} {value:.4f}" for name, value in logged.items() if name in shown]
            words = [f"epoch {epoch}/{trainer.max_epochs}", *values, f"{took:.1f} s"]
            if (left := took * ((trainer.max_epochs or 0) - epoch) / 60) >= 1:
                words.append(f"about {left:.0f} min left")
            print("  ".join(words), flush=True)
        self._ended = None
