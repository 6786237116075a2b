"""``python cli.py compare runs/aoi/*``: several runs of one task on one page."""

import argparse
import glob
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.errors import DataError
from common.paths import expand
from experiment.atomic import write_text
from experiment.report import render
from experiment.run_results import RunResults, read_results
from experiment.tasks import LESS_IS_BETTER, main_metrics, task_of

log = logging.getLogger(__name__)

WITHOUT_EFFECT = ("num_workers", "filename", "monitor", "dirpath")  # on the results


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``compare``."""
    parser.add_argument("runs", nargs="+", help="run folders, such as runs/aoi/*")


def run(options: argparse.Namespace) -> Path:
    """Write the page that the options ask for, and return it.

    Raises:
        DataError: nothing to compare, or runs of several tasks.
    """
    folders: list[Path] = []
    for given in map(expand, options.runs):  # the shell of Windows leaves patterns as they are
        found = [] if given.exists() else glob.glob(str(given))
        folders += map(Path, found or [given])
    path = write_comparison(folders)
    print(f"comparison {path}")
    return path


def write_comparison(folders: Sequence[Path]) -> Path:
    """Write ``compare.html`` beside the first run by name: results, and settings that differ.

    The order of the folders has no effect. One that is not a run is left out with a line in the
    log.

    Raises:
        DataError: nothing to compare, runs of several tasks, or a damaged file in one.
    """
    runs = []
    for folder in sorted({expand(folder).resolve() for folder in folders}):
        if (folder / "run.json").is_file():
            runs.append(read_results(folder))
        else:
            log.warning("%s: left out, no run folder (run.json)", folder)
    if not runs:
        raise DataError(f"{folders[0]}: no run folder (run.json) among those given")
    tasks = sorted({run.task for run in runs})
    if len(tasks) > 1:
        raise DataError(f"runs of {', '.join(tasks)}: give runs of one task, they share no metric")
    path = runs[0].folder.parent / "compare.html"
    rows = [_row(run, path) for run in runs]
    logged = {name for row in rows for name in row["metrics"]}
    main = [name for stage in ("val", "test") for name in main_metrics(tasks[0], stage, logged)]
    metrics = main or sorted(name for name in logged if name.startswith("val/"))
    metric = next((name for name in metrics if name.startswith("val/")), "")
    sign = 1 if metric.rpartition("/")[2] in LESS_IS_BETTER else -1

    def rank(row: dict[str, Any]) -> tuple[bool, float]:
        value = row["metrics"].get(metric, math.nan)
        return math.isnan(value), sign * value  # runs without this metric come last

    rows.sort(key=rank)
    page = render(
        "compare.html.j2",
        title=task_of(tasks[0]).title,
        ranked_by=metric,
        order="lowest" if sign == 1 else "highest",
        metrics=metrics,
        runs=rows,
        sources={run.record.get("data") for run in runs},
        differences=_differences([row["results"] for row in rows]),
    )
    write_text(path, page)
    return path


def _row(run: RunResults, page: Path) -> dict[str, Any]:
    report = run.folder / "report.html"
    tests = [one.get("metrics") for one in run.evaluations if one["stage"] == "test"]
    newest: dict[str, float] = next(filter(None, reversed(tests)), {})
    return {
        "name": os.path.relpath(run.folder, page.parent),
        "link": quote(os.path.relpath(report, page.parent)) if report.is_file() else "",
        "metrics": (run.at_best or run.at(run.last_epoch)) | newest,
        "results": run,
        "record": run.record,
    }


def _differences(runs: list[RunResults]) -> dict[str, list[str]]:
    """Settings that are not the same in all runs, with the code and machine they ran on."""
    record = ("config", "git_revision", "machine", "precision")
    tables = [run.settings | {name: run.record.get(name) for name in record} for run in runs]
    rows = {
        name: [str(table.get(name, "-")) for table in tables]
        for name in dict.fromkeys(name for table in tables for name in table)
        if not name.startswith("run.") and name.rpartition(".")[2] not in WITHOUT_EFFECT
    }
    return {name: values for name, values in rows.items() if len(set(values)) > 1}
