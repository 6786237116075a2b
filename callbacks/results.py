"""What a run folder says: the reader that figures, report and comparison share."""

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from datamodules.errors import DataError


@dataclass
class Results:
    """One run folder, read.

    Attributes:
        folder: the run folder.
        record: ``run.json``; empty if there is none.
        config: text of ``config.yaml``; empty if there is none.
        by_epoch: metric -> {epoch, counted from 1: value}, of training and its validation.
        by_step: metric logged by step, without Lightning's suffix ``_step`` -> {batch: value}.
        evaluated: metric -> value, of the last ``test`` or ``validate`` of a checkpoint.
        monitor: the metric that chooses the best checkpoint; None if none does.
        mode: "min" or "max" of ``monitor``.
    """

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)
    config: str = ""
    by_epoch: dict[str, dict[int, float]] = field(default_factory=dict)
    by_step: dict[str, dict[int, float]] = field(default_factory=dict)
    evaluated: dict[str, float] = field(default_factory=dict)
    monitor: str | None = None
    mode: str = "max"

    @property
    def task(self) -> str:
        """The task, "aoi" also for its variant "aoi_best"; "" if there is no record."""
        return str(self.record.get("task", "")).partition("_")[0]

    @property
    def epochs(self) -> list[int]:
        """Epochs that logged anything, in order."""
        return sorted({epoch for values in self.by_epoch.values() for epoch in values})

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best finite ``monitor``, the first of equals, as ModelCheckpoint keeps."""
        values = self.by_epoch.get(self.monitor or "", {})
        finite = {epoch: value for epoch, value in values.items() if math.isfinite(value)}
        if not finite:
            return None
        best = (max if self.mode == "max" else min)(finite.values())
        return next(epoch for epoch in sorted(finite) if finite[epoch] == best)


def read_results(folder: str | Path) -> Results:
    """Read ``run.json``, ``config.yaml`` and ``metrics.csv``; those that are missing stay empty.

    Raises:
        DataError: one of the files is not what its name says.
    """
    results = Results(Path(folder))
    path = results.folder / "run.json"
    try:
        if path.exists():
            results.record = json.loads(path.read_text())
        path = results.folder / "config.yaml"
        if path.exists():
            results.config = path.read_text()
            results.monitor, results.mode = _monitor(yaml.safe_load(results.config))
        path = results.folder / "metrics.csv"
        if path.exists():
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    _add(results, row)
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{path}: not readable ({cause}); restore or remove it") from None
    return results


def _monitor(config: dict[str, Any]) -> tuple[str | None, str]:
    for callback in (config.get("trainer") or {}).get("callbacks") or []:
        if callback["class_path"].endswith("ModelCheckpoint"):
            options = callback.get("init_args") or {}
            if options.get("monitor"):
                return options["monitor"], options.get("mode", "min")
    return None, "max"


def _add(results: Results, row: dict[str, str]) -> None:
    """Sort a row of ``metrics.csv`` in. Rows are sparse: an empty cell was not logged."""
    for name, text in row.items():
        if name in ("epoch", "step") or not text:
            continue
        value = float(text)
        if name.startswith("test/"):
            results.evaluated[name] = value
        elif name.endswith("_step"):
            results.by_step.setdefault(name.removesuffix("_step"), {})[int(row["step"])] = value
        elif row.get("epoch"):
            values = results.by_epoch.setdefault(name.removesuffix("_epoch"), {})
            # A resumed run first drops what it will log again. So a second value of an epoch comes
            # from `validate`, which Lightning logs as epoch 0.
            if values.setdefault(int(row["epoch"]) + 1, value) != value:
                results.evaluated[name] = value
