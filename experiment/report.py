"""``report.html``: one self-contained page about a run."""

import base64
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiment.atomic import atomic_write
from experiment.run_results import RunResults, read_results
from experiment.tasks import task_of

log = logging.getLogger(__name__)

EVALUATIONS = {"validate": "Validation", "test": "Test"}


def short(value: float) -> str:
    """Four decimals, or four digits where that would show none."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def render(template: str, **values: Any) -> str:
    """The page that ``template``, a file in templates/, makes of ``values``."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": short, "duration": duration}
    return environment.get_template(template).render(**values)


def write_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` of what ``run_dir`` holds, and nothing else, and return its path.

    Reads ``run.json``, ``config.yaml``, ``metrics.csv`` and ``figures/*.png``; what is missing is
    left out. Images are inside the page, which needs neither script nor network.

    Raises:
        DataError: one of the files is not what its name says.
    """
    results = read_results(run_dir)
    record = results.record
    task = task_of(results.task)
    page = render(
        "report.html.j2",
        title=task.title,
        folder=results.folder.name,
        record=record,
        facts=_facts(record),
        details=_details(record),
        rows=_rows(results),
        epochs=results.epochs[-1] if results.epochs else 0,
        best_epoch=results.best_epoch,
        monitor=results.monitor,
        mode=results.mode,
        evaluations=[_evaluation(results, one) for one in results.evaluations],
        references=task.reference,
        figures=[*_figures(results.folder / "figures")],
        config=results.config,
    )
    path = results.folder / "report.html"
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(page, encoding="utf-8")
    return path


def is_main(results: RunResults, metric: str) -> bool:
    """Whether a reader looks for ``metric`` first."""
    main = task_of(results.task).main_metrics
    return not main or metric == results.monitor or metric.partition("/")[2] in main


def _rank(results: RunResults, metric: str) -> tuple[Any, ...]:
    stage, _, name = metric.partition("/")
    main = task_of(results.task).main_metrics
    place = main.index(name) if name in main else len(main)
    return metric != results.monitor, stage == "train", place, metric


def _evaluation(results: RunResults, record: dict[str, Any]) -> dict[str, Any]:
    metrics = record.get("metrics") or {}
    members = record.get("members") or ()
    one = Path(record.get("checkpoint") or "no checkpoint").name
    return {
        "title": f"{EVALUATIONS[record['stage']]} of "
        + (f"an ensemble of {len(members)}" if members else one),
        "facts": " · ".join(
            str(part)
            for part in (
                "built-in sample (synthetic)" if record.get("sample") else record.get("data"),
                (record.get("finished") or record.get("started") or "").replace("T", " "),
                record.get("status"),
            )
            if part
        ),
        "rows": [
            {"metric": name, "main": is_main(results, name), "value": metrics[name]}
            for name in sorted(metrics, key=lambda name: _rank(results, name))
        ],
    }


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    facts = {
        "Data": "built-in sample (synthetic)" if record.get("sample") else record.get("data"),
        "Weights": record.get("weights"),
        "Duration": duration(record.get("minutes")),
        "Best checkpoint": record.get("best_checkpoint"),
        "Stopped by": record.get("error"),
        "Git revision": record.get("git_revision"),
        "Machine": record.get("machine"),
    }
    return [(name, str(text)) for name, text in facts.items() if text]


def _details(record: dict[str, Any]) -> list[tuple[str, str]]:
    versions = record.get("versions") or {}
    facts = {
        "Command": record.get("command"),
        "Started": (record.get("started") or "").replace("T", " "),
        "Finished": (record.get("finished") or "").replace("T", " "),
        "Config": record.get("config"),
        "Seed": record.get("seed"),
        "Precision": record.get("precision"),
        "Devices": f"{record.get('devices', '?')} x {record.get('accelerator', '?')}",
        "Software": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    return [(name, str(text)) for name, text in facts.items() if text not in (None, "")]


def duration(minutes: float | None) -> str:
    """``minutes`` in the unit that a reader would choose; "" for None."""
    if minutes is None:
        return ""
    if minutes < 2:
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _rows(results: RunResults) -> list[Mapping[str, Any]]:
    """Metrics of training, the monitored one first, then as a reader looks for them."""
    names = sorted(
        (name for name in results.by_epoch if "/" in name), key=lambda name: _rank(results, name)
    )
    at_best, last = results.at_best, results.epochs[-1] if results.epochs else 0
    return [
        {
            "metric": name,
            "main": is_main(results, name),
            "best": at_best.get(name),
            "last": results.by_epoch[name].get(last),
        }
        for name in names
    ]


def _figures(folder: Path) -> Iterator[dict[str, Any]]:
    """Figures of the run, the curves first and those of the test last."""
    from PIL import Image

    for path in sorted(
        folder.glob("[!.]*.png"),  # not what a killed process was about to write
        key=lambda path: (path.stem.startswith("test"), path.stem != "curves", path.stem),
    ):
        try:
            with Image.open(path, formats=("PNG",)) as image:
                image.load()
                text = getattr(image, "text", {})
                width, height = image.size
        except OSError as error:
            log.warning("%s: left out of the report (%s)", path, error)
            continue
        yield {
            "base64": base64.b64encode(path.read_bytes()).decode(),
            "title": text.get("Title", path.stem),
            "caption": text.get("Description", ""),
            "width": width,
            "height": height,
        }


def print_table(results: RunResults) -> None:
    """Print the metrics a reader looks for first, of the best and of the last epoch."""
    from rich.console import Console
    from rich.table import Table

    last = results.epochs[-1] if results.epochs else 0
    best = results.best_epoch
    table = Table("metric", *([f"best epoch ({best})"] if best else []), f"last epoch ({last})")
    for row in _rows(results):
        if row["main"]:
            values = (row["best"], row["last"]) if best else (row["last"],)
            table.add_row(row["metric"], *("" if v is None else short(v) for v in values))
    Console().print(table)
