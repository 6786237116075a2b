"""What a cross-validation found, from the runs of its folds."""

import csv
import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import DataError

IMAGE_TABLE = "validation_images.csv"  # of a run, see callbacks.ValidationTable
CONFIDENCE = 0.95
RESAMPLES = 2000
ImageScores = dict[str, float]


def read_image_table(path: Path) -> dict[str, ImageScores]:
    """Scores by image of a run's `IMAGE_TABLE`; empty where the task writes none.

    Raises:
        DataError: it is not a table of numbers.
    """
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        try:
            rows = {row.pop("ID"): row for row in csv.DictReader(file)}
            return {name: {k: float(v) for k, v in row.items()} for name, row in rows.items()}
        except (KeyError, ValueError, TypeError):
            raise DataError(f"{path}: not a table of scores; run crossval again") from None


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation (of the sample; None for a single value), minimum and maximum."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {
        "mean": statistics.fmean(values),
        "std": deviation,
        "min": min(values),
        "max": max(values),
    }


def pooled(tables: Sequence[dict[str, ImageScores]]) -> dict[str, dict[str, Any]]:
    """Mean of each score over all held-out images, with a 95 % interval.

    Each image counts once: its values under several seeds are averaged first. The interval says how
    far the mean would move with other images of the same kind, taken as independent; not with other
    training images. For proportions (each value 0 or 1) it is Wilson's, for other scores the
    percentile bootstrap's over images.

    Args:
        tables: of the members, scores by image.

    Returns:
        By score: ``value``, ``low``, ``high`` (None where there is no interval), ``images``,
        ``interval``.
    """
    by_score: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for table in tables:
        for image, scores in table.items():
            for name, value in scores.items():
                by_score[name][image].append(value)
    found = {}
    for name, images in by_score.items():
        values = [statistics.fmean(own) for own in images.values()]
        low, high, kind = _interval(values)
        found[name] = {
            "value": statistics.fmean(values),
            "low": low,
            "high": high,
            "images": len(values),
            "interval": kind,
        }
    return found


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to import

    found = binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def _interval(values: Sequence[float]) -> tuple[float | None, float | None, str]:
    count = len(values)
    if set(values) <= {0.0, 1.0}:
        return *wilson_interval(round(sum(values)), count), "Wilson"
    if count < 2 or not all(map(math.isfinite, values)):
        return None, None, "none"
    rng, array = np.random.default_rng(0), np.array(values)
    means = [array[rng.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high), "bootstrap over images"
