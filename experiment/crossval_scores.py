"""What a cross-validation found, from the runs of its folds."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

IMAGE_TABLE = "validation_images.csv"  # of a run, see callbacks.ValidationTable
CONFIDENCE = 0.95
RESAMPLES = 2000


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


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation (of the sample; None for a single value), minimum and maximum."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {
        "mean": statistics.fmean(values),
        "std": deviation,
        "min": min(values),
        "max": max(values),
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


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to import

    found = binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


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
