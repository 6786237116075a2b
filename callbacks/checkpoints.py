"""Checkpoints of the best epoch and of the last one."""

import os
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from torch import Tensor

from callbacks.run_recorder import run_folder
from lit_models.base import has_validation


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch by one metric; names count epochs from 1, as tables and figures do.

    None is kept by a metric of validation where all images are trained on (``data.fold: all``).

    Args:
        monitor: a logged metric, such as ``val/loss``.
        mode: whether a smaller or a larger value is better.
        filename: see `ModelCheckpoint`; null names epoch and metric.
    """

    def __init__(
        self, monitor: str, mode: Literal["min", "max"] = "min", filename: str | None = None
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            filename=filename or f"epoch={{epoch}}-{monitor.replace('/', '_')}={{{monitor}:.4f}}",
            auto_insert_metric_name=False,
            # An epoch that is trained again after a kill writes its file again.
            enable_version_counter=False,
        )

    def format_checkpoint_name(self, metrics: dict[str, Tensor], *args: Any, **kwargs: Any) -> str:
        return super().format_checkpoint_name(
            {**metrics, "epoch": metrics["epoch"] + 1}, *args, **kwargs
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Without validation there is no best epoch; last.ckpt is the run's checkpoint.
        if has_validation(pl_module) or not str(self.monitor).startswith("val/"):
            super().on_train_epoch_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best one if it is in this folder, which may have been moved.

        A run that is continued in a folder of its own has a best epoch of its own.
        """
        best = Path(self.dirpath or "") / Path(state_dict["best_model_path"]).name
        if best.is_file():
            state = state_dict | dict.fromkeys(
                ("best_model_path", "kth_best_model_path"), str(best)
            )
            kept = {str(best): state_dict["best_model_score"]}
            super().load_state_dict(state | {"dirpath": self.dirpath, "best_k_models": kept})


class LastCheckpoint(Checkpoint):
    """Writes ``checkpoints/last.ckpt``, from which a run resumes after its last full epoch.

    Each epoch's checkpoint is written beside it at the epoch's end, and replaces it when all that
    the epoch logged is on disk: a kill in between goes back to the epoch before, and no row of
    ``metrics.csv`` is lost.

    Lightning steps a plateau schedule after that write. The checkpoint keeps its metric, and a
    resumed run begins with that step.
    """

    def __init__(self) -> None:
        self._path = Path()
        self._epoch: int | None = None  # whose checkpoint was written last
        self._plateau: list[float | None] = []  # metric for the first step, by schedule

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._path = run_folder(trainer) / "checkpoints" / "last.ckpt"

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for schedule, value in zip(trainer.lr_scheduler_configs, self._plateau, strict=False):
            if value is not None:
                schedule.scheduler.step(value)  # type: ignore[arg-type]
        self._plateau = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch = trainer.current_epoch
        trainer.save_checkpoint(self._path.with_name(".last.ckpt"), weights_only=False)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        written = self._path.with_name(".last.ckpt")
        if trainer.is_global_zero and written.exists():
            os.replace(written, self._path)

    on_train_end = on_train_epoch_start

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if self._epoch is not None and trainer.current_epoch > self._epoch:  # its rows are logged
            self.on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        epoch, logged = trainer.current_epoch + 1, trainer.callback_metrics
        checkpoint["plateau_metrics"] = [
            float(logged[schedule.monitor])  # type: ignore[index]
            if schedule.reduce_on_plateau
            and epoch % schedule.frequency == 0
            and schedule.monitor in logged
            else None
            for schedule in trainer.lr_scheduler_configs
        ]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._plateau = checkpoint.get("plateau_metrics", [])
