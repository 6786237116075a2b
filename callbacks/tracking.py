"""The loggers of a run: ``metrics.csv`` in its folder and Weights & Biases beside it."""

import csv
import logging
import os
from pathlib import Path
from typing import Any, Literal, cast

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities import rank_zero_only

from callbacks.atomic import atomic_write
from callbacks.run_folder import Run

log = logging.getLogger(__name__)


class _AppendingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Lightning deletes the ``metrics.csv`` it finds here; a resumed run goes on with it."""


class MetricsCSV(CSVLogger):
    """CSVLogger that continues the ``metrics.csv`` of an earlier process in the same folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.parent.parent, name=folder.parent.name, version=folder.name)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _AppendingWriter(self.log_dir)
            self._experiment.metrics_keys = self._read()[0]
        return self._experiment

    def log_hyperparams(self, params: Any = None) -> None:
        """Nothing to do: the run's ``config.yaml`` has them all."""

    @rank_zero_only
    def drop_from(self, step: int) -> None:
        """Remove the training rows of ``step`` and later: what a killed run logged after its
        last checkpoint, and the resumed run logs again."""
        header, rows = self._read()
        kept = [row for row in rows if int(row["step"]) < step]
        if len(kept) == len(rows):
            return
        with atomic_write(self._path) as half, half.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=header)
            writer.writeheader()
            writer.writerows(kept)

    @property
    def _path(self) -> Path:
        return Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE

    def _read(self) -> tuple[list[str], list[dict[str, str]]]:
        if not self._path.exists():
            return [], []
        with self._path.open(newline="") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or []), list(reader)


@rank_zero_only
def start_wandb(run: Run, folder: Path, config: dict[str, Any], tags: list[str]) -> Any:
    """A started ``WandbLogger``, or None where W&B is disabled or will not start.

    The W&B id comes from the folder, so a resumed run continues its W&B run. Without an API key, or
    where the server does not answer, the run is kept offline in ``<folder>/wandb``. Never prompts
    and never raises.
    """
    import wandb

    mode = "offline" if run.wandb == "offline" else os.environ.get("WANDB_MODE") or "online"
    if run.wandb == "disabled" or mode == "disabled":
        return None
    try:
        if mode == "online" and not wandb.login(prompt=False):
            mode = "offline"
    except Exception as error:  # a malformed key must not fail the run
        log.warning("W&B: %s; the run is kept offline", error)
        mode = "offline"
    for attempt in dict.fromkeys((mode, "offline")):
        try:
            experiment = wandb.init(
                project=run.project,
                dir=folder,
                id=f"{run.task}-{folder.name}",
                name=folder.name,
                group=run.task,
                resume="allow",
                mode=cast(Literal["online", "offline"], attempt),
                config=config,
                tags=tags,
                settings=wandb.Settings(init_timeout=30, silent=True, console="off"),
            )
            experiment.define_metric("trainer/global_step")
            experiment.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        except Exception as error:  # no network, no disk, an old server: tracking only is lost
            log.warning("W&B did not start (%s): %s", attempt, str(error).partition("\n")[0])
            continue
        if attempt == "offline":
            log.info("W&B: kept offline; to upload: wandb sync %s/wandb/offline-run-*", folder)
        else:
            log.info("W&B: %s", experiment.url)
        return WandbLogger(experiment=experiment)
    return None
