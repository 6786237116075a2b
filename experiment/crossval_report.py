"""What a cross-validation found: pooled scores, and the page of them."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiment.report import CONFIDENCE, short, wilson_interval
from experiment.run_results import IMAGE_TABLE

RESAMPLES = 2000
NOTE = (
    "Each fold is scored at the epoch that was best on it, which flatters by a little. Intervals "
    "(95 %) are for the mean over images as independent draws: Wilson's for proportions, else the "
    "bootstrap over images. They do not cover other training images; the standard deviation over "
    "runs does, although runs share most of their training images."
)


def read_image_tables(runs: Sequence[Path]) -> pd.DataFrame:
    """Rows of the runs' `IMAGE_TABLE`: ``ID``, ``run`` and scores; empty where there are none."""
    paths = [path for run in runs if (path := run / IMAGE_TABLE).is_file()]
    frames = [pd.read_csv(path, dtype={"ID": str}, keep_default_na=False) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        frame.insert(1, "run", path.parent.name)
    table = pd.concat(frames or [pd.DataFrame({"ID": [], "run": []})], ignore_index=True)
    return table.astype(dict.fromkeys(table.columns.drop(["ID", "run"]), float))


def summary(members: Sequence[dict[str, Any]], images: pd.DataFrame) -> dict[str, Any]:
    """What the record says beside its ``members``.

    Returns:
        ``metrics``: mean, standard deviation of the sample, minimum and maximum over the runs, None
        where there is none; ``out_of_fold``, see `pooled`; ``best_epoch``, the median or None.
    """
    scores = pd.DataFrame([one["metrics"] for one in members], dtype=float)
    spread = scores.agg(["mean", "std", "min", "max"])
    epochs = [one["best_epoch"] for one in members if one["best_epoch"] is not None]
    return {
        "metrics": spread.astype(object).where(spread.notna(), None).to_dict(),
        "out_of_fold": pooled(images),
        "best_epoch": round(statistics.median(epochs)) if epochs else None,
    }


def pooled(images: pd.DataFrame) -> dict[str, dict[str, Any]]:
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
    names = images.columns.drop(["ID", "run"])
    scores = [name for name in names if name != "label" and name[:2] != "p("]  # for suspects
    means = images.groupby("ID", sort=False)[scores].mean()
    return {name: _with_interval(means[name].to_numpy()) for name in scores}


def _with_interval(values: np.ndarray) -> dict[str, Any]:
    count, low, high, kind = len(values), None, None, "none"
    if set(values) <= {0.0, 1.0}:
        (low, high), kind = wilson_interval(round(sum(values)), count), "Wilson"
    elif count > 1 and np.isfinite(values).all():
        rng, kind = np.random.default_rng(0), "bootstrap over images"
        resampled = [values[rng.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
        low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    value = float(values.mean())
    return {"value": value, "low": low, "high": high, "images": count, "interval": kind}


def page(record: dict[str, Any]) -> list[str]:
    """Lines of ``crossval.md``, of a cross-validation's record with its `summary`."""
    members = record["members"]
    lines = [f"# {record['folds']} folds, {len(members)} runs: {', '.join(record['configs'])}", ""]
    tables = {"All held-out images": record["out_of_fold"], "Over runs": record["metrics"]}
    for title, rows in tables.items():
        if rows:
            table = pd.DataFrame.from_dict(rows, orient="index")
            text = table.to_string(float_format=short, na_rep="-", max_colwidth=None)
            lines += [title, "", "```", text, "```", ""]
    epochs = ", ".join(str(one["best_epoch"]) for one in members)
    return [*lines, f"Best epochs: {epochs}. {NOTE}", ""]
