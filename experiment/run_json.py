"""``run.json``: the record of a training and of its evaluations."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from common.errors import DataError
from experiment.atomic import write_json, writing


def read_record(path: Path) -> dict[str, Any]:
    """The record at ``path``, of a run or of a cross-validation; empty if there is none.

    Raises:
        DataError: the file is not a record.
    """
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{path}: not readable ({cause}); restore or remove it") from None
    if not isinstance(record, dict) or not all(
        isinstance(one, dict) and "stage" in one for one in record.get("evaluations") or []
    ):
        raise DataError(f"{path}: not a record; restore or remove it")
    return record


class RunJSON:
    """Keeps one ``run.json`` while a process works on its run.

    The top level describes the training, as of its latest process, with the ``minutes`` of all of
    them. ``evaluations`` has one entry per stage, checkpoint and data, of the latest evaluation; in
    a folder without a training the top level is that evaluation, too.

    An evaluation may end while the run trains, so each write reads the file again under a lock.

    Args:
        path: path of ``run.json``.

    Raises:
        DataError: see `read_record`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = read_record(path)
        self._entry: dict[str, Any] = {}
        self._began = 0.0

    def start(self, facts: dict[str, Any]) -> None:
        """Write that this process works on ``facts["stage"]``: fit, validate, test or predict."""
        before = self.record.get("minutes") if facts["stage"] == "fit" else None
        self._began = time.monotonic() - 60 * (before or 0)
        self._entry = {**facts, "started": _now(), "finished": None, "error": None}
        self.update(status="running")

    def update(self, **facts: Any) -> None:
        """Write ``facts`` and the minutes so far."""
        minutes = round((time.monotonic() - self._began) / 60, 2)
        self._entry |= {"minutes": minutes, **facts}
        stage = self._entry["stage"]
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        with writing(self.path), lock:
            self.record = read_record(self.path)
            if stage == "fit" or self.record.get("stage") in (None, stage):
                self.record |= self._entry
            if stage in ("validate", "test"):
                earlier = self.record.get("evaluations", [])
                others = [entry for entry in earlier if _key(entry) != _key(self._entry)]
                self.record["evaluations"] = [*others, self._entry]
            write_json(self.path, self.record)

    def finish(self, status: str, **facts: Any) -> None:
        """Write how it ended: "finished", "interrupted" or "failed"."""
        self.update(status=status, finished=_now(), **facts)


def _key(evaluation: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(evaluation.get(name) for name in ("stage", "checkpoint", "data"))


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
