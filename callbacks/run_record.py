"""What a run was: its resolved config, data, code and machine, kept beside its results."""

import json
import os
import platform
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.cli import LightningArgumentParser, SaveConfigCallback
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from callbacks.atomic import atomic_write
from callbacks.run_folder import Run
from callbacks.tracking import MetricsCSV, start_wandb


def git_revision() -> str:
    """This project's commit, "+changes" where the work tree differs; "unknown" outside git."""
    folder = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+changes"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip()


def machine() -> str:
    """Processor, cores and accelerator in words."""
    cpu = torch.cpu.get_capabilities().get("cpu_name") or platform.machine()
    text = f"{cpu}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"
    if torch.cuda.is_available():
        text += f"; {torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return text


class RunRecord(SaveConfigCallback):
    """Writes ``config.yaml`` and ``run.json`` into the run folder and tells W&B the same.

    It does so when the work starts, not before: bad input leaves nothing behind. ``run.json`` says
    which data were used and whether they are the built-in sample, the git revision, machine,
    precision and seed, and at the end the status ("finished", "interrupted" or "failed"), the
    minutes and the best checkpoint. Evaluating a checkpoint later adds a key named for the stage.
    """

    def __init__(self, parser: LightningArgumentParser, config: Any, run: Run) -> None:
        super().__init__(parser, config)
        self.run = run
        self.record: dict[str, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Rank 0 chose the folder. trainer.log_dir would say so too, but only if all ranks ask at
        # once; with this every callback may read default_root_dir alone.
        folder = trainer.strategy.broadcast(trainer.default_root_dir)
        trainer._default_root_dir = folder  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "fit")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV):
                logger.drop_from(trainer.fit_loop.epoch_loop._batches_that_stepped)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish(trainer, "finished")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._start(trainer, pl_module, "validate")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._finish(trainer, "finished")

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "test")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish(trainer, "finished")

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start(trainer, pl_module, "predict")

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._finish(trainer, "finished")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if self.record:
            stopped = isinstance(exception, (KeyboardInterrupt, SIGTERMException))
            self._finish(trainer, "interrupted" if stopped else "failed")
        elif trainer.is_global_zero:
            with suppress(OSError):  # not empty: an earlier run's, which stays
                Path(trainer.default_root_dir).rmdir()

    def _start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        folder = Path(trainer.default_root_dir)
        # Random weights may have taken the place of pretrained ones: the config says what was used.
        weights = getattr(pl_module, "weights_used", None)
        for name, value in getattr(pl_module, "fallback", {}).items():
            self.config.model.init_args[name] = value
        data = trainer.datamodule  # type: ignore[attr-defined]
        self.record = {
            "stage": stage,
            "task": self.run.task,
            "run": folder.name,
            "data": data.data_source,
            "sample": data.is_sample,
            "weights": weights,
            "seed": self.config.seed_everything,
            "git_revision": git_revision(),
            "machine": machine(),
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "pytorch_lightning": pl.__version__,
            },
            "precision": trainer.precision,
            "accelerator": type(trainer.accelerator).__name__,
            "devices": trainer.world_size,
            "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,
            "command": " ".join(sys.argv),
            "started": datetime.now().isoformat(timespec="seconds"),
            "status": "running",
        }
        self._clock = time.monotonic()
        if not trainer.is_global_zero:
            return
        # A resumed fit adds to the time that it took before.
        path = folder / "run.json"
        resumed = stage == "fit" and path.exists()
        self._minutes_before = json.loads(path.read_text()).get("minutes", 0) if resumed else 0
        if stage == "fit":
            with atomic_write(folder / "config.yaml") as half:
                half.write_text(self.parser.dump(self.config, skip_none=False))
        self._write(folder)
        if stage != "predict" and not any(
            logger.name == self.run.project for logger in trainer.loggers
        ):
            config = json.loads(self.parser.dump(self.config, skip_none=False, format="json"))
            tags = [self.run.task, "sample" if data.is_sample else "real data"]
            logger = start_wandb(self.run, folder, {"run_record": self.record, **config}, tags)
            if logger is not None:
                trainer.loggers = [*trainer.loggers, logger]

    @rank_zero_only
    def _finish(self, trainer: pl.Trainer, status: str) -> None:
        checkpoint = trainer.checkpoint_callback
        self.record |= {
            "status": status,
            "finished": datetime.now().isoformat(timespec="seconds"),
            "minutes": round(self._minutes_before + (time.monotonic() - self._clock) / 60, 2),
            "best_checkpoint": Path(getattr(checkpoint, "best_model_path", "") or "").name or None,
        }
        self._write(Path(trainer.default_root_dir))

    def _write(self, folder: Path) -> None:
        path = folder / "run.json"
        whole = json.loads(path.read_text()) if path.exists() else {}
        if self.record["stage"] == "fit" or not whole:
            whole |= self.record
        else:
            whole[self.record["stage"]] = self.record
        with atomic_write(path) as half:
            half.write_text(json.dumps(whole, indent=2) + "\n")
