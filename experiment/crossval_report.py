"""Tables of a cross-validation: crossval.md, crossval.csv, out_of_fold.csv."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiment.atomic import write_table, write_text
from experiment.crossval_scores import pooled, spread
from experiment.headline import short

if TYPE_CHECKING:
    import pandas as pd

NOTE = (
    "Each fold is scored at the epoch that was best on it, which flatters by a little. Intervals "
    "(95 %) are for the mean over images as independent draws: Wilson's for proportions, else the "
    "bootstrap over images. They do not cover other training images; the standard deviation over "
    "runs does, although runs share most of their training images."
)


def summary(members: Sequence[dict[str, Any]], images: "pd.DataFrame") -> dict[str, Any]:
    """What the record says beside the members.

    Args:
        members: of the record.
        images: scores of the held-out images, see `read_image_tables`.

    Returns:
        ``metrics``, the spread of each over the runs; ``out_of_fold``, see `pooled`;
        ``best_epoch``, the median over the runs, None where none is known.
    """
    names = dict.fromkeys(name for one in members for name in one["metrics"])
    values = {
        name: [one["metrics"][name] for one in members if name in one["metrics"]] for name in names
    }
    epochs = [one["best_epoch"] for one in members if one["best_epoch"] is not None]
    return {
        "metrics": {name: spread(own) for name, own in values.items()},
        "out_of_fold": pooled(images),
        "best_epoch": round(statistics.median(epochs)) if epochs else None,
    }


def write_tables(
    folder: Path, record: dict[str, Any], images: "pd.DataFrame", command: str
) -> None:
    """Write them.

    Args:
        folder: of the cross-validation.
        record: of it, with its `summary`.
        images: scores of the held-out images.
        command: that trains on all images.
    """
    metrics, facts = list(record["metrics"]), ("fold", "seed", "best_epoch", "images")
    rows = [
        [one[name] for name in facts] + [one["metrics"].get(name, "") for name in metrics]
        for one in record["members"]
    ]
    write_table(folder / "crossval.csv", (*facts, *metrics), rows)
    if len(images):
        write_table(folder / "out_of_fold.csv", list(images.columns), images.values.tolist())
    write_text(folder / "crossval.md", _page(record, command))


def _page(record: dict[str, Any], command: str) -> str:
    runs, folds = len(record["members"]), record["folds"]
    lines = [f"# {folds} folds, {runs} runs: {', '.join(record['configs'])}", ""]
    if record["out_of_fold"]:
        lines += ["| all held-out images | mean | 95 % interval | images |", "|---|---|---|---|"]
        for name, one in record["out_of_fold"].items():
            interval = f"{_short(one['low'])} to {_short(one['high'])} ({one['interval']})"
            lines.append(f"| {name} | {_short(one['value'])} | {interval} | {one['images']} |")
        lines.append("")
    columns = ("mean", "std", "min", "max")
    lines += [
        f"| over {runs} runs | mean | standard deviation | min | max |",
        "|---|---|---|---|---|",
    ]
    for name, one in record["metrics"].items():
        lines.append(f"| {name} | {' | '.join(_short(one[key]) for key in columns)} |")
    epochs = ", ".join(str(one["best_epoch"]) for one in record["members"])
    lines += ["", f"Best epochs: {epochs}. {NOTE}", "", "Train on all images:", ""]
    return "\n".join([*lines, f"    {command}", ""])


def _short(value: float | None) -> str:
    return "-" if value is None else short(value)
