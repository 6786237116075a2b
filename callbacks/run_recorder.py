"""Records config, data, code and machine of a run beside its results, and writes its report."""

import json
import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from filelock import FileLock
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser, SaveConfigCallback
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import SIGTERMException

from callbacks.gather import gather, on_rank_zero
from common.errors import DataError
from experiment.atomic import remove_leftovers, write_table, write_text
from experiment.hardware import git_revision, machine, versions
from experiment.metrics_csv import MetricsCSV
from experiment.report import print_scores, write_report
from experiment.run_folder import (
    RunSettings,
    discard_run_folder,
    lock_run_folder,
    open_prediction_folder,
)
from experiment.run_json import RunJSON
from experiment.run_results import read_results
from experiment.wandb_run import new_wandb_id, start_wandb

log = logging.getLogger(__name__)


class RunRecorder(SaveConfigCallback):
    """Writes ``config.yaml`` and ``run.json`` into the run folder and tells W&B the same.

    Nothing is written before the work starts, so that bad input leaves nothing. ``fit`` locks
    the folder; a prediction has a folder and a ``run.json`` of its own. It must be the first of the
    callbacks, because the others write into `folder`.

    Args:
        parser, config: parser and options of LightningCLI.
        folder: the run folder, or for ``predict`` the parent of ``predictions/``.
        members: checkpoints of an ensemble.

    Attributes:
        folder: where this stage writes; in every process after ``setup``, for ``predict`` after
            ``on_predict_start``.
        skipped: ``(name, reason)`` of images that ``predict`` could not read, also in
            ``skipped.csv``; in every process after ``predict``.
    """

    def __init__(
        self, parser: LightningArgumentParser, config: Any, folder: Path, members: Sequence[Path]
    ) -> None:
        super().__init__(parser, config)
        self.run, self.folder, self.members = RunSettings(**config.run.as_dict()), folder, members
        self.skipped: list[tuple[str, str]] = []
        self._lock: FileLock | None = None
        self._record: RunJSON | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        def prepare() -> Path:
            if stage == "fit":
                self._lock = lock_run_folder(self.folder)
                remove_leftovers(self.folder)
            return self.folder

        self.folder = on_rank_zero(trainer, prepare)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.folder = on_rank_zero(trainer, lambda: self._start(trainer, pl_module))

    on_test_start = on_predict_start = on_fit_start

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self.on_fit_start(trainer, pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, MetricsCSV):
                on_rank_zero(trainer, partial(logger.keep_epochs, trainer.current_epoch))

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._record is not None:
            self._record.update()  # the minutes, should this process be killed

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        facts: dict[str, Any] = {}
        if stage in ("validate", "test"):
            # On every rank: computing a metric gathers it from all. JSON has no NaN.
            values = {name: float(value) for name, value in trainer.callback_metrics.items()}
            facts["metrics"] = {k: v if math.isfinite(v) else None for k, v in values.items()}
        elif stage == "predict":
            data = trainer.datamodule  # type: ignore[attr-defined]
            self.skipped = sorted(gather(trainer, data.skipped))
            if self.skipped and trainer.is_global_zero:
                write_table(self.folder / "skipped.csv", ("ID", "reason"), self.skipped)
        self._finish(trainer, "finished", **facts)

    def check_skipped(self) -> None:
        """Raise DataError where ``predict`` could not read some images."""
        if self.skipped:
            table, count = self.folder / "skipped.csv", len(self.skipped)
            raise DataError(f"{table}: {count} images could not be read, all others are predicted")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        stopped = isinstance(exception, (KeyboardInterrupt, SIGTERMException))
        cause = str(exception).partition("\n")[0] or type(exception).__name__
        with suppress(DataError):  # on a full disk the first error is the one to show
            status = "interrupted" if stopped else "failed"
            self._finish(trainer, status, error=None if stopped else cause)
        if self._record is None and trainer.is_global_zero and trainer.state.fn != "predict":
            discard_run_folder(self.folder)  # nothing is written yet

    def _start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Path:
        if trainer.state.fn == "predict":
            source = trainer.datamodule.data_source  # type: ignore[attr-defined]
            self.folder = open_prediction_folder(self.folder, source, self.config.output)
        facts = self._facts(trainer, pl_module)
        run_json = RunJSON(self.folder / "run.json")
        wandb_id = run_json.record.get("wandb_id")
        if facts["stage"] == "fit":
            config = self.config.clone()
            # Otherwise `fit --config` of this file would resume the run, or start from its weights.
            config.ckpt_path = config.init_from = None
            write_text(self.folder / "config.yaml", self.parser.dump(config, skip_none=False))
            facts["wandb_id"] = wandb_id = wandb_id or new_wandb_id()
        run_json.start(facts)
        self._record = run_json
        own = any(isinstance(logger, WandbLogger) for logger in trainer.loggers)
        if facts["stage"] in ("fit", "test") and wandb_id is not None and not own:
            self._start_wandb(trainer, wandb_id, facts)
        return self.folder

    def _facts(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        weights = getattr(getattr(pl_module, "network", None), "weights", None)
        several = len(self.members) > 1
        checkpoint = self.config.ckpt_path if several else trainer.ckpt_path
        copies = {"train": getattr(data, "crops_per_image", 1)}
        sets = {split: getattr(data, f"{split}_set", None) for split in ("train", "val", "test")}
        return {
            "stage": trainer.state.fn.value,  # type: ignore[union-attr]
            "task": self.run.task,
            "config": self.run.config or self.run.task,
            "data": data.data_source,
            "sample": data.is_sample,
            "images": {  # not where Lightning's limits skip a part
                split: len(images) // copies.get(split, 1)
                for split, images in sets.items()
                if images is not None and getattr(trainer, f"limit_{split}_batches") == 1.0
            },
            "classes": pl_module.hparams.get("class_names"),
            "weights": weights if isinstance(weights, str) else None,
            "init_from": self.config.get("init_from"),
            "seed": self.config.seed_everything,
            "git_revision": git_revision(),
            "machine": machine(),
            "versions": versions(),
            "precision": trainer.precision,
            "accelerator": type(trainer.accelerator).__name__,
            "devices": trainer.world_size,
            "checkpoint": str(checkpoint) if checkpoint else None,
            "members": [*map(str, self.members)] if several else None,
            "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
            "command": " ".join(sys.argv),
        }

    def _start_wandb(self, trainer: pl.Trainer, wandb_id: str, facts: dict[str, Any]) -> None:
        config = {"evaluation_record": facts}
        if facts["stage"] == "fit":
            config = json.loads(self.parser.dump(self.config, skip_none=False, format="json"))
            config["run_record"] = facts
        tags = [self.run.task, "sample" if facts["sample"] else "real data"]
        logger = start_wandb(self.run, self.folder, wandb_id, config, tags)
        if logger is not None:
            trainer.loggers = [*trainer.loggers, logger]

    def _finish(self, trainer: pl.Trainer, status: str, **facts: Any) -> None:
        if self._lock is not None:
            self._lock.release()
        if self._record is None:
            return
        if trainer.state.fn == "fit":
            best = getattr(trainer.checkpoint_callback, "best_model_path", "")
            facts["best_checkpoint"] = Path(best).name or None
            reason = getattr(trainer.early_stopping_callback, "stopping_reason_message", None)
            facts["early_stop"] = reason and reason.removesuffix(" Signaling Trainer to stop.")
        self._record.finish(status, **facts)


def run_folder(trainer: pl.Trainer) -> Path:
    """Where this stage's files go: `RunRecorder.folder`, or the trainer's default without one."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, RunRecorder):
            return callback.folder
    return Path(trainer.default_root_dir)


class ReportWriter(Callback):
    """Writes ``report.html`` when ``fit``, ``validate`` or ``test`` ends, however it ends.

    It also prints the scores, why training stopped early, and where checkpoint and report are; not
    after an error, whose own line is the last.
    """

    # Not on_fit_end: by teardown all figures are drawn, in whatever order the callbacks stand.
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._write(trainer, say=True)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._write(trainer, say=isinstance(exception, (KeyboardInterrupt, SIGTERMException)))

    def _write(self, trainer: pl.Trainer, say: bool) -> None:
        folder, verb = run_folder(trainer), trainer.state.fn or ""
        if verb == "predict" or not trainer.is_global_zero or not (folder / "run.json").is_file():
            return
        try:
            if say:
                print_scores(read_results(folder), verb)
            report = write_report(folder)
        except Exception as error:  # the run's results stand without it
            log.warning("no report: %s", str(error).partition("\n")[0])
            return
        if say:
            best = getattr(trainer.checkpoint_callback, "best_model_path", "")
            checkpoint = Path(best or folder / "checkpoints" / "last.ckpt")
            known = verb == "fit" and checkpoint.is_file()
            print(f"checkpoint {checkpoint}  " * known + f"report {report}", flush=True)
