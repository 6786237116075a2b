"""Reads a run folder, for figures, report and comparison."""

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from common.config_file import read_config
from common.errors import DataError
from experiment.run_json import read_run_json

Row = dict[str, Any]


def read_metrics(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows, all of them text; a last line that a crash cut off is left out.

    Raises:
        DataError: the file is not a table of numbers; names the line.
    """
    if not path.exists():
        return [], []
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text file; restore or remove it") from None
    lines = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(lines), restval=None)
    header = list(reader.fieldnames or [])
    rows = []
    for row in reader:
        try:
            {name: float(cell) for name, cell in row.items() if cell != ""}
        except (ValueError, TypeError):
            line = f"{path}, line {reader.line_num}"
            raise DataError(f"{line}: not numbers below each of the header's names") from None
        rows.append(row)
    if rows and "step" not in header:
        raise DataError(f"{path}: has no column step; restore or remove it")
    return header, rows


@dataclass
class RunResults:
    """One run folder, read.

    Attributes:
        folder: the run folder.
        record: ``run.json``; empty if there is none.
        config: text of ``config.yaml``; empty if there is none.
        settings: the same by name, such as ``model.optimizer.lr``.
        by_epoch: metric -> {epoch, counted from 1: value}, of training and its validation.
        validations: epoch, and what was logged together, of each row with ``monitor``.
        monitor: the metric that chooses the best checkpoint; None if none does.
        mode: "min" or "max" of ``monitor``.
    """

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)
    config: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    by_epoch: dict[str, dict[int, float]] = field(default_factory=dict)
    validations: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    monitor: str | None = None
    mode: str = "max"

    @property
    def task(self) -> str:
        """The task; "" if there is no record."""
        return self.record.get("task", "")

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """One record for each stage, checkpoint and data: ``stage``, ``metrics``, ``status`` ..."""
        found = [dict(one) for one in self.record.get("evaluations", [])]
        for one in found:
            values = one.get("metrics") or {}
            one["metrics"] = {k: math.nan if v is None else v for k, v in values.items()}
        return found

    @property
    def last_epoch(self) -> int:
        """The last epoch that logged anything; 0 if none did."""
        return max((epoch for values in self.by_epoch.values() for epoch in values), default=0)

    def at(self, epoch: int) -> dict[str, float]:
        """What was logged in an epoch, by metric."""
        return {k: v[epoch] for k, v in self.by_epoch.items() if epoch in v}

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best finite ``monitor``, the first of equals, as ModelCheckpoint keeps."""
        if self.monitor == "epoch":
            return self.last_epoch or None
        return self._best[0] or None

    @property
    def at_best(self) -> dict[str, float]:
        """What was logged with the best ``monitor``, or else in that epoch, by metric.

        An epoch may have several validations.
        """
        return self.at(self.best_epoch or 0) | self._best[1]

    @property
    def _best(self) -> tuple[int, dict[str, float]]:
        monitor, sign = self.monitor or "", 1 if self.mode == "max" else -1
        finite = [v for v in self.validations if math.isfinite(v[1].get(monitor, math.nan))]
        return max(finite, key=lambda one: sign * one[1][monitor], default=(0, {}))


def read_results(folder: str | Path) -> RunResults:
    """Read ``run.json``, ``config.yaml`` and ``metrics.csv``; those that are missing stay empty.

    Raises:
        DataError: one of the files is not what its name says.
    """
    results = RunResults(Path(folder))
    results.record = read_run_json(results.folder / "run.json")
    path = results.folder / "config.yaml"
    if path.exists():
        read_config(str(path))
        try:
            results.config = path.read_text(encoding="utf-8")
            config = yaml.safe_load(results.config)
            results.settings = flat_settings(config)
            for callback in reversed((config.get("trainer") or {}).get("callbacks") or []):
                options = callback.get("init_args") or {}
                if callback["class_path"].endswith("Checkpoint") and options.get("monitor"):
                    results.monitor, results.mode = options["monitor"], options.get("mode", "min")
        except (ValueError, AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
            cause = str(error).partition("\n")[0]
            raise DataError(f"{path}: not readable ({cause}); restore or remove it") from None
    for row in read_metrics(results.folder / "metrics.csv")[1]:
        _add(results, row)
    return results


def flat_settings(config: Any, prefix: str = "") -> dict[str, Any]:
    """Values by option: ``{"data": "Digits", "data.seed": 0}`` of a class and its arguments.

    A list of classes is taken as a mapping by their names.
    """
    if isinstance(config, list) and config and all(isinstance(item, dict) for item in config):
        named = {str(item.get("class_path", i)): item for i, item in enumerate(config)}
        config = {class_path.rpartition(".")[2]: item for class_path, item in named.items()}
    if not isinstance(config, dict):
        return {prefix: config}
    flat: dict[str, Any] = {}
    for key, part in config.items():
        if key == "class_path":
            flat[prefix] = str(part).rpartition(".")[2]
        else:
            inner = prefix if key == "init_args" else f"{prefix}.{key}".removeprefix(".")
            flat |= flat_settings(part, inner)
    return flat


def _add(results: RunResults, row: Row) -> None:
    """Sort a row of ``metrics.csv`` in. Rows are sparse: an empty cell was not logged."""
    together = {}
    for name, text in row.items():
        by_epoch = name not in ("epoch", "step") and not name.endswith("_step")
        if by_epoch and text and row.get("epoch"):
            together[name.removesuffix("_epoch")] = float(text)
    for name, value in together.items():
        results.by_epoch.setdefault(name, {})[int(row["epoch"]) + 1] = value
    if results.monitor in together:
        results.validations.append((int(row["epoch"]) + 1, together))
