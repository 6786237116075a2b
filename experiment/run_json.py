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
    data, of the latest evaluation. In a folder without a training the top level is the evaluation.

    An evaluation may end while the run trains, so each write reads the file again under a lock.

    Args:
        path: path of ``run.json``.

    Raises:
        DataError: see `read_run_json`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = read_run_json(path)
        self._clock = time.monotonic()
        self._entry: dict[str, Any] = {}
        self._at_top = False

    def start(self, facts: dict[str, Any]) -> None:
        """Write that this process works on ``facts["stage"]``: fit, validate, test or predict."""
        stage, self._clock = facts["stage"], time.monotonic()
        times = {"started": _now(), "finished": None, "status": "running"}
        self._entry = {**facts, **times}
        with self._locked():
            self._at_top = stage == "fit" or self.record.get("stage") in (None, stage)
            if stage == "fit":
                self._entry = {name: facts.get(name) for name in OF_A_PROCESS} | times
                history = self.record.get("history", [])
                for entry in history:
                    if entry["status"] == "running":  # that process is gone: this one has its lock
                        entry["status"] = "killed"
                self.record |= {"error": None, "history": [*history, self._entry]}
            if self._at_top:
                self.record |= facts
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
        stage = self._entry.get("stage")
        if stage is None:  # of a training, of which one process at a time writes
            self.record["history"][-1] = self._entry
        elif stage != "predict":
            others = [e for e in self.record.get("evaluations", []) if _key(e) != _key(self._entry)]
            self.record["evaluations"] = [*others, self._entry]
        if self._at_top:
            entries = self.record.get("history", [self._entry])
            total = sum(entry.get("minutes") or 0 for entry in entries)
            shown = {name: self._entry[name] for name in ("started", "finished", "status")}
            self.record |= shown | {"minutes": round(total, 2), **facts}
        write_json(self.path, self.record)


def _key(evaluation: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(evaluation.get(name) for name in ("stage", "checkpoint", "data"))


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
