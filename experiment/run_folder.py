"""One run, one folder: ``<root>/<config>/<name>``; predictions in folders of their own below it."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from common.config_file import read_section
from common.errors import DataError
from common.paths import expand
from experiment.atomic import writing
from experiment.run_json import read_record

FOLDER_NAME = re.compile(r"[^\s./\\:]([^/\\:\x00-\x1f]{0,198}[^\s/\\:])?")


@dataclass
class RunSettings:
    """Where a run's files go and how it is tracked.

    Args:
        task: what the run is about (aoi, vessels, retina, blots); reports and comparisons go by it.
        config: name of the config, the first folder below ``root``; null takes the task.
        root: folder of all runs.
        name: the run's own folder; null takes the date and time.
        wandb: "auto" goes online where an API key is found and else keeps the run offline.
        project: Weights & Biases project.

    Raises:
        DataError: task, config or name cannot be the name of a folder.
    """

    task: str = "run"
    config: str | None = None
    root: str = "runs"
    name: str | None = None
    wandb: Literal["auto", "offline", "disabled"] = "auto"
    project: str = "lightning-image-tasks"

    def __post_init__(self) -> None:
        for option in ("task", "config", "name"):
            name = getattr(self, option)
            if name is not None and not FOLDER_NAME.fullmatch(name):
                raise DataError(f"run.{option}: {name[:30]!r} is not the name of a folder")
        if not self.root:
            raise DataError("run.root: is empty; give a folder, such as runs")

    @classmethod
    def of_configs(cls, configs: Sequence[str], **given: str | None) -> "RunSettings":
        """Settings ``run`` of configs, the later before the earlier, and given ones before both."""
        found: dict[str, Any] = {}
        for path in configs:
            found |= read_section(path, "run")
        found |= {name: value for name, value in given.items() if value is not None}
        return cls(**{name: value for name, value in found.items() if name in cls.__annotations__})

    @property
    def folder(self) -> Path:
        """Folder of all runs of the config."""
        return expand(self.root) / (self.config or self.task)

    @property
    def existing(self) -> list[Path]:
        """Runs of the config, or the one that ``name`` says."""
        return [self.folder / self.name] if self.name else sorted(self.folder.glob("*"))


def run_folder_of(checkpoint: Path) -> Path | None:
    """The run folder that contains ``checkpoint``, if any."""
    folder = checkpoint.resolve().parent.parent
    return folder if (folder / "run.json").is_file() else None


def prediction_parent(checkpoint: Path) -> Path:
    """The run folder of a checkpoint, or else the folder that contains it."""
    return run_folder_of(checkpoint) or checkpoint.resolve().parent


def requeued_run(run: RunSettings) -> Path | None:
    """The unfinished run that this command started before Slurm requeued its job, if any."""
    started = {"slurm_job_id": os.environ.get("SLURM_JOB_ID"), "command": " ".join(sys.argv)}
    if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
        return None
    for folder in run.existing:
        record = read_record(folder / "run.json")
        if record.get("status") != "finished" and started.items() <= record.items():
            return folder
    return None


def results_folder(
    run: RunSettings,
    given: str | None = None,
    checkpoints: Sequence[Path] = (),
    predicting: bool = False,
) -> Path:
    """Where a verb writes, or for ``predict`` the parent of ``predictions/``.

    That is the run folder of the checkpoint, unless ``run.name`` is another name; for an ensemble
    the folder of the cross-validation that was given; or else a new folder, made by rank 0.

    Args:
        run: settings of the run.
        given: the option ``--ckpt_path``.
        checkpoints: files that it stands for.
        predicting: whether the verb is ``predict``.

    Raises:
        DataError: ``run.name`` is taken by another run, or the folder cannot be made.
    """
    if len(checkpoints) > 1 and expand(given or "").is_dir():
        return expand(given or "")
    only = checkpoints[0] if len(checkpoints) == 1 else None
    if predicting:
        return prediction_parent(only) if only else run.folder
    own = run_folder_of(only) if only else requeued_run(run)
    if own is not None and run.name in (None, own.name):
        return own
    name = run.name or datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    from pytorch_lightning.utilities import rank_zero_only  # which `load` does not need

    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return run.folder / name  # until RunRecorder.setup tells it rank 0's
    return _new_folder(run.folder, name, numbered=run.name is None)


def _new_folder(parent: Path, stem: str, numbered: bool) -> Path:
    for number in range(1, 1000 if numbered else 2):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        with writing(folder):
            parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise DataError(f"{folder}: a run of this name exists; choose another --run.name")


def lock_run_folder(folder: Path) -> FileLock:
    """Lock a folder in which one process trains; the lock ends with the process.

    Raises:
        DataError: another process has it.
    """
    lock = FileLock(folder / ".lock")
    with writing(folder):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise DataError(f"{folder}: another process is training here; wait for it") from None
    return lock


def discard_run_folder(folder: Path) -> None:
    """Remove a run folder, and the one of its config, where they hold nothing but a lock."""
    with suppress(OSError):
        if [path.name for path in folder.iterdir()] == [".lock"]:
            (folder / ".lock").unlink()
        folder.rmdir()
        folder.parent.rmdir()


def open_prediction_folder(parent: Path, source: str, output: str | Path | None) -> Path:
    """A new, empty folder for one prediction: ``output``, or ``<parent>/predictions/<source>``.

    Args:
        parent: see `results_folder`.
        source: path of the images, or "sample"; its last part names the folder, with -2, -3, ...
            where that exists.
        output: the option ``--output``.

    Raises:
        DataError: ``output`` is not empty, or the folder cannot be made.
    """
    if not output:
        stem = Path(source).name.lstrip(".") or "root"
        return _new_folder(parent / "predictions", stem, numbered=True)
    output = expand(output)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise DataError(f"{output}: --output is not empty; choose another folder or empty it")
    return output
