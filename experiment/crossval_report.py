"""What a cross-validation found: pooled scores, and the page of them."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import DataError
from experiment.headline import CONFIDENCE, short, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

IMAGE_TABLE = "validation_images.csv"  # of a run, see callbacks.ValidationTable
RESAMPLES = 2000
NOTE = (
    "Each fold is scored at the epoch that was best on it, which flatters by a little. Intervals "
    "(95 %) are for the mean over images as independent draws: Wilson's for proportions, else the "
    "bootstrap over images. They do not cover other training images; the standard deviation over "
    "runs does, although runs share most of their training images."
)


def read_image_tables(runs: Sequence[Path]) -> "pd.DataFrame":
    """Rows of the runs' `IMAGE_TABLE`: ``ID``, ``run`` and scores; empty where there are none.

    Raises:
        DataError: one is not a table of numbers.
    """
    import pandas as pd

    frames = [pd.DataFrame({"ID": [], "run": []})]
    for run in runs:
        path = run / IMAGE_TABLE
        try:
            frame = pd.read_csv(path, dtype={"ID": str}, keep_default_na=False)
            frames.append(frame.astype(dict.fromkeys(frame.columns.drop("ID"), float)))
        except FileNotFoundError:
            continue
        except (KeyError, ValueError):  # pandas' own errors are ValueErrors
            raise DataError(f"{path}: not a table of scores; run crossval again") from None
        frames[-1].insert(1, "run", run.name)
    return pd.concat(frames[1:] or frames, ignore_index=True)


def summary(members: Sequence[dict[str, Any]], images: "pd.DataFrame") -> dict[str, Any]:
    """What the record says beside the members.

    Args:
        members: of the record.
        images: scores of the held-out images, see `read_image_tables`.

    Returns:
        ``metrics``: of each over the runs mean, standard deviation (of the sample; None for one
        run), minimum and maximum; ``out_of_fold``, see `pooled`; ``best_epoch``, the median over
        the runs, None where none is known.
    """
    import pandas as pd

    spread = pd.DataFrame([one["metrics"] for one in members]).agg(["mean", "std", "min", "max"])
    epochs = [one["best_epoch"] for one in members if one["best_epoch"] is not None]
    return {
        "metrics": spread.astype(object).where(spread.notna(), None).to_dict(),
        "out_of_fold": pooled(images),
        "best_epoch": round(statistics.median(epochs)) if epochs else None,
    }


def pooled(images: "pd.DataFrame") -> dict[str, dict[str, Any]]:
    """Mean of each score over all held-out images, with a 95 % interval.

    Each image counts once: its values under several seeds are averaged first. The interval says how
    far the mean would move with other images of the same kind, taken as independent; not with other
    training images. For proportions (each value 0 or 1) it is Wilson's, for other scores the
    percentile bootstrap's over images.

    Args:
        images: what `read_image_tables` returned.

    Returns:
        By score: ``value``, ``low``, ``high`` (None where there is no interval), ``images``,
        ``interval``.
    """
    found = {}
    for name in images.columns.drop(["ID", "run"]):
        if name == "label" or name.startswith("p("):  # for suspects
            continue
        values = images.groupby("ID", sort=False)[name].mean().to_numpy()
        low, high, kind = _interval(values)
        found[str(name)] = {
            "value": float(values.mean()),
            "low": low,
            "high": high,
            "images": len(values),
            "interval": kind,
        }
    return found


def _interval(values: np.ndarray) -> tuple[float | None, float | None, str]:
    count = len(values)
    if set(values) <= {0.0, 1.0}:
        return *wilson_interval(round(sum(values)), count), "Wilson"
    if count < 2 or not all(map(math.isfinite, values)):
        return None, None, "none"
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high), "bootstrap over images"


def page(record: dict[str, Any]) -> list[str]:
    """Lines of ``crossval.md``, of a cross-validation's record with its `summary`."""
    members = record["members"]
    title = f"{record['folds']} folds, {len(members)} runs: {', '.join(record['configs'])}"
    lines = [f"# {title}", ""]
    if record["out_of_fold"]:
        lines += ["| all held-out images | mean | 95 % interval | images |", "|---|---|---|---|"]
    for name, one in record["out_of_fold"].items():
        interval = f"{_short(one['low'])} to {_short(one['high'])} ({one['interval']})"
        lines.append(f"| {name} | {_short(one['value'])} | {interval} | {one['images']} |")
    lines += ["", "| over runs | mean | standard deviation | min | max |", "|---|---|---|---|---|"]
    for name, one in record["metrics"].items():
        lines.append(f"| {name} | {' | '.join(map(_short, one.values()))} |")
    epochs = ", ".join(str(one["best_epoch"]) for one in members)
    return [*lines, "", f"Best epochs: {epochs}. {NOTE}", ""]


def _short(value: float | None) -> str:
    return "-" if value is None else short(value)
