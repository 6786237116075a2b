"""``python cli.py compare runs/aoi/*``: several runs of one task on one page."""

import argparse
import base64
import io
import logging
import math
import os
from collections.abc import Sequence
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.errors import DataError
from common.paths import expand
from experiment.atomic import atomic_write
from experiment.metric_names import in_words, main_metrics
from experiment.plotting import PALETTE, plot_by_epoch, styled
from experiment.report import duration, render
from experiment.run_folder import matching_runs
from experiment.run_results import RunResults, read_results
from experiment.tasks import better, task_of

log = logging.getLogger(__name__)

WITHOUT_EFFECT = ("num_workers", "filename", "monitor", "dirpath")  # on the results


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``compare``."""
    parser.add_argument("runs", nargs="+", help="run folders, such as runs/aoi/*")
    parser.add_argument(
        "--output", type=Path, help="the page; compare.html beside the runs by default"
    )


def run(options: argparse.Namespace) -> Path:
    """Write the page that the options ask for, and return it.

    Raises:
        DataError: nothing to compare, or runs of several tasks.
    """
    folders = [folder for run in options.runs for folder in matching_runs(run)]
    path = write_comparison(folders or [Path(options.runs[0])], options.output)
    print(f"comparison {path}")
    return path


def write_comparison(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Write one page over the runs in ``folders``: results, what differs, curves.

    Their order has no effect. A folder that is not a run, or cannot be read, is left out with a
    line in the log.

    Args:
        output: the page; by default ``compare.html`` beside the first run by name.

    Raises:
        DataError: nothing to compare, or runs of several tasks.
    """
    found = _read(sorted({expand(folder).resolve() for folder in folders}))
    if not found:
        raise DataError(f"{folders[0]}: no run folder (run.json) among those given")
    tasks = sorted({run.task for run in found})
    if len(tasks) > 1:
        raise DataError(f"runs of {', '.join(tasks)}: give runs of one task, they share no metric")
    names = _names(found)
    metric, mode, reason = _ranking(found)
    found.sort(key=lambda run: (_score(run, metric, mode), names[run.folder]))
    metrics = _metrics(found)
    path = expand(output or min(names).parent / "compare.html")
    page = render(
        "compare.html.j2",
        title=task_of(tasks[0]).title,
        written=f"Written {datetime.now():%Y-%m-%d %H:%M}.",
        ranked_by=metric,
        mode=mode,
        reason=reason,
        metrics=metrics,
        runs=[_row(run, names[run.folder], path) for run in found],
        samples=[names[run.folder] for run in found if run.record.get("sample")],
        sources={run.record.get("data") for run in found},
        differences=_differences(found),
        curves=_curves(found, names, [name for name in metrics if not name.startswith("test/")]),
    )
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(page, encoding="utf-8")
    return path


def _read(folders: Sequence[Path]) -> list[RunResults]:
    found = []
    for folder in folders:
        if not (folder / "run.json").is_file():
            log.warning("%s: left out, no run folder (run.json)", folder)
            continue
        try:
            found.append(read_results(folder))
        except (DataError, OSError) as error:
            log.warning("left out: %s", error)
    return found


def _names(runs: Sequence[RunResults]) -> dict[Path, str]:
    """Folder -> its name, with the config's before it where two runs have the same name."""
    short = [run.folder.name for run in runs]
    return {
        run.folder: name if short.count(name) == 1 else f"{run.folder.parent.name}/{name}"
        for run, name in zip(runs, short, strict=True)
    }


def _ranking(runs: Sequence[RunResults]) -> tuple[str | None, str, str]:
    """Metric to rank by, its mode, and why it is not what the runs chose their best epoch by."""
    chosen_by = {(run.monitor, run.mode) for run in runs if run.monitor not in (None, "epoch")}
    monitors = sorted(chosen_by, key=str)
    if len(monitors) == 1:
        return *monitors[0], ""
    shared = set.intersection(*({n for n in run.by_epoch if n[:4] == "val/"} for run in runs))
    ranked = [*main_metrics(runs[0].task, "val", shared), *sorted(shared)]
    if not ranked:
        return None, "max", "they have no validation metric in common"
    names = ", ".join(str(name) for name, _ in monitors)
    reason = f"the runs chose their best epochs by {names}" if names else ""
    return ranked[0], better(ranked[0]), reason


def _score(run: RunResults, metric: str | None, mode: str) -> float:
    """Smaller is better; runs without a score come last."""
    value = run.at_best.get(metric or "", math.nan)
    if math.isnan(value):
        return math.inf
    return -value if mode == "max" else value


def _metrics(runs: list[RunResults]) -> list[str]:
    """The main metrics of validation and test, what the runs are ranked by, and training losses."""
    names = {name for run in runs for name in (*run.by_epoch, *_tested(run))}
    found = [name for stage in ("val", "test") for name in main_metrics(runs[0].task, stage, names)]
    monitors = {run.monitor for run in runs if run.monitor in names}
    losses = {name for name in names if name.startswith("train/") and name.endswith("loss")}
    return list(dict.fromkeys([*found, *sorted(monitors), *sorted(losses)]))


def _tested(run: RunResults) -> dict[str, float]:
    """Metrics of the newest finished ``test``."""
    found: dict[str, float] = {}
    for one in run.evaluations:
        if one["stage"] == "test":
            found = one.get("metrics") or found
    return found


def _row(run: RunResults, name: str, page: Path) -> dict[str, Any]:
    source, report = str(run.record.get("data", "")), run.folder / "report.html"
    return {
        "name": name,
        "link": quote(os.path.relpath(report, page.parent)) if report.is_file() else "",
        "metrics": (run.at_best or run.at(run.last_epoch)) | _tested(run),
        "best_epoch": run.best_epoch,
        "epochs": run.last_epoch,
        "duration": duration(run.record.get("minutes")) or "-",
        "data": Path(source).name,
        "source": source,
        "status": run.record.get("status", ""),
    }


def _differences(runs: list[RunResults]) -> dict[str, list[str]]:
    """Settings that are not the same in all runs, with the code and machine they ran on."""
    record = ("config", "git_revision", "machine", "precision")
    tables = [run.settings | {name: run.record.get(name) for name in record} for run in runs]
    names = dict.fromkeys(name for table in tables for name in table)
    rows = {
        name: [str(table.get(name, "-")) for table in tables]
        for name in names
        if not name.startswith("run.") and name.rpartition(".")[2] not in WITHOUT_EFFECT
    }
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _curves(runs: list[RunResults], names: dict[Path, str], metrics: list[str]) -> str:
    """A PNG with one panel a metric, base64; "" if no run has a curve."""
    metrics = [name for name in metrics if any(name in run.by_epoch for run in runs)]
    if not metrics:
        return ""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(2, len(metrics))
    lines = -(-len(metrics) // columns)
    colors = dict(zip([run.folder for run in runs], cycle(PALETTE), strict=False))
    with styled():
        fig = Figure(figsize=(7.2, 2.6 * lines + 0.25 * len(runs)), layout="constrained")
        panels = list(fig.subplots(lines, columns, squeeze=False).flat)
        for axes in panels[len(metrics) :]:
            axes.remove()
        for axes, name in zip(panels, metrics, strict=False):
            axes.set_title(in_words(name), size=9)
            for run in runs:
                values, best = run.by_epoch.get(name), run.best_epoch
                if values:
                    plot_by_epoch(axes, values, "", colors[run.folder])
                    if best in values:
                        axes.plot([best], [values[best]], "D", color=colors[run.folder], ms=7)
        fig.legend(
            handles=[
                Line2D(
                    [],
                    [],
                    color=colors[run.folder],
                    label=names[run.folder]
                    + (" (sample data)" if run.record.get("sample") else ""),
                )
                for run in runs
            ],
            loc="outside lower left",
        )
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
