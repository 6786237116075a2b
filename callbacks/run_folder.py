"""One run, one folder: ``<root>/<task>/<name>``."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

from datamodules.errors import DataError


@dataclass
class Run:
    """Where a run's files go and how it is tracked.

    Args:
        task: first folder below ``root``; the runs of one task lie side by side.
        root: folder of all runs.
        name: the run's own folder; null takes the date and time.
        wandb: "auto" goes online where an API key is found and else keeps the run offline.
        project: Weights & Biases project.
    """

    task: str = "run"
    root: str = "runs"
    name: str | None = None
    wandb: Literal["auto", "offline", "disabled"] = "auto"
    project: str = "lightning-image-tasks"

    @property
    def folder(self) -> Path:
        """Folder of all runs of the task."""
        return Path(self.root) / self.task


def find_checkpoint(run: Run, which: Literal["last", "best"]) -> Path:
    """The last or best checkpoint of the newest run of the task (of ``run.name``, if given).

    Raises:
        DataError: there is none.
    """
    found = list(run.folder.glob(f"{run.name or '*'}/checkpoints/last.ckpt"))
    if not found:
        where = run.folder / (run.name or "*") / "checkpoints"
        raise DataError(f"{where}/last.ckpt: no checkpoint to be found; give --ckpt_path a file")
    last = max(found, key=lambda path: path.stat().st_mtime_ns)
    if which == "last":
        return last
    callbacks = torch.load(last, map_location="cpu", weights_only=True)["callbacks"]
    for state in callbacks.values():
        # The path as it was at training; the folder may have been moved since.
        name = Path(state.get("best_model_path", "")).name
        if name not in ("", last.name):
            return last.with_name(name)
    raise DataError(f"{last.parent}: the run kept no best checkpoint; give --ckpt_path a file")


def open_run_folder(run: Run, ckpt_path: Path | None) -> Path:
    """The folder of the run that ``ckpt_path`` belongs to, or else a new one, made by rank 0.

    ``run.name`` overrules the checkpoint's folder: the checkpoint is then continued elsewhere.

    Raises:
        DataError: ``run.name`` is taken by another run.
    """
    if ckpt_path is not None:
        folder = ckpt_path.parent.parent
        if (folder / "run.json").exists() and run.name in (None, folder.name):
            return folder
    stem = run.name or datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return run.folder / stem  # until RunRecord.setup tells it rank 0's
    for number in range(1, 1000):
        folder = run.folder / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if run.name:
                break
    raise DataError(f"{folder}: a run of this name exists; choose another --run.name")
