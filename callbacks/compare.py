"""``python cli.py compare runs/aoi/*``: several runs of one task on one page."""

import argparse
import base64
import io
import logging
from collections.abc import Sequence
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

from callbacks.atomic import atomic_write
from callbacks.figure import PALETTE, plot_by_epoch, styled
from callbacks.report import TITLES, duration, is_main, render
from callbacks.results import Results, read_results
from datamodules.errors import DataError

log = logging.getLogger(__name__)


def main(args: Sequence[str] | None = None) -> Path:
    """Run ``compare`` with the command line ``args`` and return the page it wrote.

    Raises:
        DataError: nothing to compare, or runs of several tasks.
    """
    parser = argparse.ArgumentParser(
        prog="cli.py compare", description="Make one page over several runs of a task."
    )
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, such as runs/aoi/*")
    parser.add_argument(
        "--output", type=Path, help="the page; compare.html beside the runs by default"
    )
    options = parser.parse_args(args)
    path = write_comparison(options.runs, options.output)
    print(f"comparison {path}")
    return path


def write_comparison(folders: Sequence[Path], output: Path | None = None) -> Path:
    """Write one page over the runs in ``folders``: results, what differs, curves.

    What is no run folder (an earlier page, caught by the same glob) is passed over.

    Args:
        output: the page; by default ``compare.html`` beside the first run.

    Raises:
        DataError: nothing to compare, or runs of several tasks.
    """
    found = [read_results(folder) for folder in folders if (folder / "run.json").is_file()]
    if not found:
        raise DataError(f"{folders[0]}: no run folder (run.json) among those given")
    tasks = sorted({run.task for run in found})
    if len(tasks) > 1:
        raise DataError(f"runs of {', '.join(tasks)}: give runs of one task, they share no metric")
    monitor, mode = found[0].monitor, found[0].mode
    found.sort(key=lambda run: (_score(run, monitor, mode), run.folder.name))
    metrics = _main_metrics(found, monitor)
    page = render(
        "compare.html.j2",
        title=TITLES.get(tasks[0], tasks[0]),
        written=f"Written {datetime.now():%Y-%m-%d %H:%M}.",
        monitor=monitor,
        mode=mode,
        metrics=metrics,
        runs=[_row(run, metrics) for run in found],
        samples=[run.folder.name for run in found if run.record["sample"]],
        sources={run.record["data"] for run in found},
        differences=_differences(found),
        curves=_curves(found, [name for name in metrics if not name.startswith("test/")]),
    )
    path = output or folders[0].parent / "compare.html"
    with atomic_write(path) as half:
        half.write_text(page, encoding="utf-8")
    return path


def _score(run: Results, monitor: str | None, mode: str) -> float:
    """Smaller is better; runs without a score come last."""
    if monitor is None or run.best_epoch is None or monitor not in run.by_epoch:
        return float("inf")
    value = run.by_epoch[monitor].get(run.best_epoch, float("inf"))
    return -value if mode == "max" else value


def _main_metrics(runs: list[Results], monitor: str | None) -> list[str]:
    """What `is_main` of validation and test, and the losses of training."""
    names = {name for run in runs for name in (*run.by_epoch, *run.evaluated)}
    main = {
        name
        for name in names
        if is_main(runs[0], name) and (not name.startswith("train/") or name.endswith("loss"))
    }
    order = {"val": 0, "test": 1, "train": 2}
    return sorted(main, key=lambda n: (n != monitor, order.get(n.partition("/")[0], 3), n))


def _row(run: Results, metrics: list[str]) -> dict[str, Any]:
    epoch = run.best_epoch or (run.epochs[-1] if run.epochs else 0)
    values = {name: run.by_epoch[name].get(epoch) for name in metrics if name in run.by_epoch}
    values |= {n: v for n, v in run.evaluated.items() if n.startswith("test/")}
    return {
        "name": run.folder.name,
        "metrics": values,
        "best_epoch": run.best_epoch,
        "epochs": run.epochs[-1] if run.epochs else 0,
        "duration": duration(run.record.get("minutes")) or "-",
        "data": Path(run.record["data"]).name,
        "source": run.record["data"],
        "status": run.record.get("status", ""),
    }


def _differences(runs: list[Results]) -> dict[str, list[str]]:
    """Settings that are not the same in all runs, with the code and machine they ran on."""
    tables = [_flat(yaml.safe_load(run.config) or {}) if run.config else {} for run in runs]
    for run, table in zip(runs, tables, strict=True):
        for name in ("task", "git_revision", "machine", "precision"):
            table[name] = run.record.get(name)
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = {
        name: [str(table.get(name, "-")) for table in tables]
        for name in names
        if not name.startswith("run.")
    }
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """``{"data.seed": 0}`` of ``{"data": {"class_path": ..., "init_args": {"seed": 0}}}``."""
    if isinstance(config, list) and config and all(isinstance(item, dict) for item in config):
        config = {
            str(item.get("class_path", i)).rpartition(".")[2]: item.get("init_args") or "yes"
            for i, item in enumerate(config)
        }
    if not isinstance(config, dict):
        return {prefix: config}
    flat: dict[str, Any] = {}
    for key, part in config.items():
        inner = prefix if key == "init_args" else f"{prefix}.{key}".removeprefix(".")
        flat |= _flat(part, inner)
    return flat


def _curves(runs: list[Results], metrics: list[str]) -> str:
    """A PNG with one panel a metric, base64; "" if no run has a curve."""
    metrics = [name for name in metrics if any(name in run.by_epoch for run in runs)]
    if not metrics:
        return ""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(2, len(metrics))
    lines = -(-len(metrics) // columns)
    colours = dict(zip([run.folder for run in runs], cycle(PALETTE), strict=False))
    with styled():
        fig = Figure(figsize=(7.2, 2.6 * lines + 0.25 * len(runs)), layout="constrained")
        panels = list(fig.subplots(lines, columns, squeeze=False).flat)
        for axes in panels[len(metrics) :]:
            axes.remove()
        for axes, name in zip(panels, metrics, strict=False):
            axes.set_title(name)
            for run in runs:
                values, best = run.by_epoch.get(name), run.best_epoch
                if values:
                    plot_by_epoch(axes, values, "", colours[run.folder])
                    if best in values:
                        axes.plot([best], [values[best]], "D", color=colours[run.folder], ms=7)
        fig.legend(
            handles=[
                Line2D(
                    [],
                    [],
                    color=colours[run.folder],
                    label=run.folder.name + (" (sample data)" if run.record["sample"] else ""),
                )
                for run in runs
            ],
            loc="outside lower left",
        )
        buffer = io.BytesIO()
        fig.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
