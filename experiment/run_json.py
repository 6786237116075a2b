"""``run.json``: the record of a training and of its evaluations."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from common.errors import DataError
from experiment.atomic import write_json, writing

# What the history keeps of each process, beside its start, end, status and minutes.
OF_A_PROCESS = ("command", "git_revision", "machine", "checkpoint")


def read_run_json(path: Path) -> dict[str, Any]:
    """The record at ``path``; empty if there is none.

    Raises:
        DataError: the file is not the record of a run.
    """
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{path}: not readable ({cause}); restore or remove it") from None
    if not isinstance(record, dict) or not isinstance(record.get("task"), str):
        raise DataError(f"{path}: not the record of a run; restore or remove it")
    return record


class RunJSON:
    """Keeps one ``run.json`` while a process works on its run.

    The top level describes the training as of its latest process, with the total ``minutes`` and a
    ``history`` with one entry per process. ``evaluations`` has one entry per stage, checkpoint and
    data, of the latest evaluation.

    An evaluation may end while the run trains, so each write reads the file again under a lock.

    Args:
        path: path of ``run.json``.

    Raises:
        DataError: see `read_run_json`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place: int | None = None  # in the history
        self.record = read_run_json(path)

    def start_training(self, facts: dict[str, Any]) -> None:
        """Write that this process trains; ``facts`` replace those of earlier processes."""
        self._start({name: facts.get(name) for name in OF_A_PROCESS}, at_top=True)
        with self._locked():
            history = self.record.get("history", [])
            for entry in history:
                if entry["status"] == "running":  # that process is gone: this one has its lock
                    entry["status"] = "killed"
            self._place = len(history)
            self.record |= facts | {"error": None, "history": [*history, self._entry]}
            self._write()

    def start_evaluation(self, facts: dict[str, Any]) -> None:
        """Write that this process evaluates or predicts; the training's record stays as it is."""
        alone = self.record.get("stage") in (None, facts["stage"])  # no training in this folder
        self._start(facts, at_top=alone)
        with self._locked():
            self.record |= facts if alone else {}
            self._write()

    def update(self, **facts: Any) -> None:
        """Write ``facts`` and the minutes so far."""
        with self._locked():
            self._write(**facts)

    def finish(self, status: str, **facts: Any) -> None:
        """Write how it ended: "finished", "interrupted" or "failed"."""
        self.update(status=status, finished=_now(), **facts)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Have the record as it is on disk, and no other process write it."""
        with writing(self.path), FileLock(self.path.with_name(f".{self.path.name}.lock")):
            self.record = read_run_json(self.path)
            yield

    def _write(self, **facts: Any) -> None:
        """Put this process's entry into the record, and write it."""
        minutes = round((time.monotonic() - self._clock) / 60, 2)
        self._entry |= {"minutes": minutes, **facts}
        if self._place is not None:
            self.record["history"][self._place] = self._entry
        elif self._entry["stage"] != "predict":
            others = [e for e in self.record.get("evaluations", []) if _key(e) != _key(self._entry)]
            self.record["evaluations"] = [*others, self._entry]
        if self._at_top:
            entries = self.record.get("history", [self._entry])
            total = sum(entry.get("minutes") or 0 for entry in entries)
            shown = {name: self._entry[name] for name in ("status", "started", "finished")}
            self.record |= shown | {"minutes": round(total, 2), **facts}
        write_json(self.path, self.record)

    def _start(self, entry: dict[str, Any], at_top: bool) -> None:
        self._clock = time.monotonic()
        self._at_top = at_top
        self._place = None
        self._entry = {**entry, "started": _now(), "finished": None, "status": "running"}


def _key(evaluation: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(evaluation.get(name) for name in ("stage", "checkpoint", "data"))


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
