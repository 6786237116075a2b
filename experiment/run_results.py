"""Reads a run folder, for figures, report and comparison."""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.config_file import read_config
from common.errors import DataError
from experiment.run_json import read_record

if TYPE_CHECKING:
    import pandas as pd

IMAGE_TABLE = "validation_images.csv"  # scores of each image, see callbacks.ValidationTable


def read_metrics(path: Path) -> "pd.DataFrame":
    """Rows of ``metrics.csv`` as text, "" where nothing was logged.

    A last line that a crash cut off is left out.

    Raises:
        DataError: the file is not a table of numbers.
    """
    import pandas as pd

    if not path.exists():
        return pd.DataFrame(columns=["step"])
    lines = path.read_bytes().rpartition(b"\n")[0]
    try:
        table = pd.read_csv(io.BytesIO(lines), dtype=str, keep_default_na=False)
        if not isinstance(table.index, pd.RangeIndex) or table.isna().any(axis=None):
            raise ValueError("rows of several lengths")
        table.replace("", "nan").astype({"step": float}).astype(float)
    except (ValueError, KeyError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{path}: not a table of metrics ({cause}); restore or remove it") from None
    return table


@dataclass
class RunResults:
    """One run folder, read.

    Attributes:
        folder: the run folder.
        record: ``run.json``; empty if there is none.
        config: text of ``config.yaml``; empty if there is none.
        settings: the same by name, such as ``model.optimizer.lr``.
        logged: epoch, counted from 1, and what was logged together, by metric.
        monitor: the metric that chooses the best checkpoint; "" if none does.
        mode: "min" or "max" of ``monitor``.
    """

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)
    config: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    logged: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    monitor: str = ""
    mode: str = "max"

    @property
    def task(self) -> str:
        """The task; "" if there is no record."""
        return str(self.record.get("task", ""))

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """One record for each stage, checkpoint and data: ``stage``, ``metrics``, ``status`` ..."""
        evaluations: list[dict[str, Any]] = self.record.get("evaluations", [])
        return evaluations

    @property
    def by_epoch(self) -> dict[str, dict[int, float]]:
        """Metric -> {epoch: value}, of training and its validation."""
        found: dict[str, dict[int, float]] = {}
        for epoch, values in self.logged:
            for name, value in values.items():
                found.setdefault(name, {})[epoch] = value
        return found

    @property
    def last_epoch(self) -> int:
        """The last epoch that logged anything; 0 if none did."""
        return max((epoch for epoch, _ in self.logged), default=0)

    def at(self, epoch: int) -> dict[str, float]:
        """What was logged in an epoch, by metric."""
        return {k: v[epoch] for k, v in self.by_epoch.items() if epoch in v}

    @property
    def best_epoch(self) -> int | None:
        """Epoch of the best finite ``monitor``, the first of equals, as ModelCheckpoint keeps."""
        return self._best[0] or None

    @property
    def at_best(self) -> dict[str, float]:
        """What was logged with the best ``monitor``, or else in that epoch, by metric.

        An epoch may have several validations.
        """
        epoch, values = self._best
        return self.at(epoch) | values

    @property
    def _best(self) -> tuple[int, dict[str, float]]:
        def score(one: tuple[int, dict[str, float]]) -> float:
            value = {"epoch": one[0], **one[1]}.get(self.monitor, math.nan)
            return value if self.mode == "max" else -value

        finite = [one for one in self.logged if math.isfinite(score(one))]
        return max(finite, key=score, default=(0, {}))


def read_results(folder: str | Path) -> RunResults:
    """Read ``run.json``, ``config.yaml`` and ``metrics.csv``; those that are missing stay empty.

    Raises:
        DataError: one of the files is not what its name says.
    """
    results = RunResults(Path(folder))
    results.record = read_record(results.folder / "run.json")
    path = results.folder / "config.yaml"
    if path.exists():
        results.settings = settings = flat_settings(read_config(str(path))[0])
        results.config = path.read_text(encoding="utf-8")
        for name in reversed(settings):
            if name.endswith("Checkpoint.monitor") and settings[name]:
                results.monitor = str(settings[name])
                results.mode = settings.get(f"{name.removesuffix('monitor')}mode", "min")
    for row in read_metrics(results.folder / "metrics.csv").to_dict("records"):
        epoch = row.pop("epoch", "")
        logged = {k: float(v) for k, v in row.items() if v and k != "step" and k[-5:] != "_step"}
        if epoch and logged:
            values = {k.removesuffix("_epoch"): v for k, v in logged.items()}
            results.logged.append((int(float(epoch)) + 1, values))
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
