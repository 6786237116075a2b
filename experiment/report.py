"""``report.html``: one self-contained page about a run."""

import base64
import csv
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiment.atomic import write_text
from experiment.headline import SPLITS, headline, in_words, main_metrics, short
from experiment.run_results import RunResults, read_results
from experiment.tasks import task_of

log = logging.getLogger(__name__)

STAGES = {"validate": "Validation", "test": "Test"}
SAMPLE = "built-in sample (synthetic)"
MAX_ROWS = 200  # of a table of images
SPLIT_BY = ("folds", "fold", "val_fraction", "val_size", "seed")
DETAILS = (
    *("Command", "Started", "Finished", "Config", "Seed", "Precision", "Accelerator", "Devices"),
    *("Machine", "Git revision", "Versions"),
)


def duration(minutes: float | None) -> str:
    """``minutes`` in the unit that a reader would choose; "" for None."""
    if minutes is None:
        return ""
    if minutes < 2:
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def render(template: str, **values: Any) -> str:
    """Fill in ``template``, a file in templates/."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": short, "duration": duration, "in_words": in_words}
    return environment.get_template(template).render(**values)


def write_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` from the files in ``run_dir`` and return its path.

    Reads ``run.json``, ``config.yaml``, ``metrics.csv``, ``figures/*.png`` and ``figures/*.csv``;
    what is missing is left out. The page contains its images and needs no network.

    Raises:
        DataError: a file cannot be read as what its name says.
    """
    results = read_results(run_dir)
    record, path = results.record, results.folder / "report.html"
    page = render(
        "report.html.j2",
        task=task_of(results.task).title,
        name=results.folder.name,
        headline=headline(results),
        record=record,
        epochs=results.last_epoch,
        facts=_facts(results),
        details=[(name, record.get(name.replace(" ", "_").lower())) for name in DETAILS],
        scores=[_training(results), *(_evaluation(results, e) for e in results.evaluations)],
        best_epoch=results.best_epoch,
        monitor=results.monitor,
        mode=results.mode,
        tables=[*_tables(results.folder / "figures")],
        figures=[*_figures(results.folder / "figures")],
        config=results.config,
    )
    write_text(path, page)
    return path


def _facts(results: RunResults) -> list[tuple[str, Any]]:
    record, settings = results.record, results.settings
    counts, classes = record.get("images") or {}, record.get("classes") or ()
    sizes = [settings.get(f"data.{name}") for name in ("image_size", "size", "inputs.size")]
    split = {name: settings.get(f"data.{name}") for name in SPLIT_BY}
    rates = {name[6:-3]: value for name, value in settings.items() if name.endswith("optimizer.lr")}
    planned, reason = settings.get("trainer.max_epochs"), record.get("early_stop")
    epochs = f"{results.last_epoch} of {planned}" if planned else str(results.last_epoch)
    return [
        ("Data", SAMPLE if record.get("sample") else record.get("data")),
        ("Images", ", ".join(f"{count:,} {SPLITS[name]}" for name, count in counts.items())),
        ("Classes", f"{len(classes)}: {', '.join(classes)}" if classes else ""),
        ("Split", ", ".join(f"{k} {v}" for k, v in split.items() if v is not None)),
        ("Image size", next((f"{size} px" for size in sizes if size), "")),
        ("Learning rate", ", ".join(f"{value:g} ({name})" for name, value in rates.items())),
        ("Epochs", f"{epochs}, stopped early: {reason}" if reason else epochs),
        ("Initial weights", record.get("weights")),
        ("Duration", duration(record.get("minutes"))),
        ("Best checkpoint", record.get("best_checkpoint")),
        ("Stopped by", record.get("error")),
    ]


def _training(results: RunResults) -> dict[str, Any]:
    """Metrics of training at the best and the last epoch."""
    best, last = results.best_epoch, results.last_epoch
    columns = {f"Best epoch ({best})": results.at_best} if best else {}
    return _scores(results, "Training", "", columns | {f"Last epoch ({last})": results.at(last)})


def _evaluation(results: RunResults, record: dict[str, Any]) -> dict[str, Any]:
    members = record.get("members") or ()
    checkpoint = Path(record.get("checkpoint") or "no checkpoint").name
    what = f"an ensemble of {len(members)}" if members else checkpoint
    data = SAMPLE if record.get("sample") else record.get("data")
    when = (record.get("finished") or record.get("started") or "").replace("T", " ")
    facts = " · ".join(part for part in (data, when, record.get("status")) if part)
    title = f"{STAGES[record['stage']]} of {what}"
    return _scores(results, title, facts, {"Value": record["metrics"]})


def _scores(
    results: RunResults, title: str, facts: str, columns: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """A table of metrics: the main ones in the order in which a reader looks for them."""
    names = {name for values in columns.values() for name in values if "/" in name}
    main = [name for stage in SPLITS for name in main_metrics(results.task, stage, names)]
    if results.monitor in names and results.monitor not in main:
        main.append(results.monitor)
    rows = {
        name: [values.get(name) for values in columns.values()]
        for name in [*main, *sorted(names - {*main})]
    }
    return {
        "title": title,
        "facts": facts,
        "columns": list(columns),
        "main": {name: rows[name] for name in main},
        "rest": {name: values for name, values in rows.items() if name not in main},
    }


def _tables(folder: Path) -> Iterator[dict[str, Any]]:
    """The tables beside the figures, such as ``test_mistakes.csv``."""
    for path in sorted(folder.glob("[!.]*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        stage = "test" if path.stem.startswith("test_") else "validation"
        yield {
            "title": f"{path.stem.removeprefix('test_').capitalize()} ({stage}): {len(rows):,}",
            "header": header,
            "rows": rows[:MAX_ROWS],
            "count": len(rows),
            "file": f"figures/{path.name}",
        }


def _figures(folder: Path) -> Iterator[dict[str, Any]]:
    """Figures of the run, the curves first and those of the test last."""
    from PIL import Image

    for path in sorted(
        folder.glob("[!.]*.png"),  # not what a killed process was about to write
        key=lambda path: (path.stem.startswith("test"), path.stem != "curves", path.stem),
    ):
        try:
            image = Image.open(path, formats=("PNG",))
        except OSError:
            log.warning("%s: left out of the report, not a picture", path)
            continue
        with image:
            yield {
                "base64": base64.b64encode(path.read_bytes()).decode(),
                "title": image.info.get("Title", path.stem),
                "caption": image.info.get("Description", ""),
                "width": image.width,
                "height": image.height,
            }


def print_scores(results: RunResults, verb: str) -> None:
    """Print the main metrics, and in one sentence the result, of ``fit``, ``validate`` or ``test``.

    ``fit`` also says why it stopped early.
    """
    from rich.console import Console
    from rich.table import Table

    latest = [one for one in results.evaluations if one["stage"] == verb][-1:]
    scores = _evaluation(results, latest[0]) if latest else _training(results)
    table = Table("metric", *(column.lower() for column in scores["columns"]))
    for name, values in (scores["main"] or scores["rest"]).items():
        table.add_row(name, *("" if value is None else short(value) for value in values))
    if table.rows:
        Console().print(table)
    if verb == "fit" and (reason := results.record.get("early_stop")):
        print(f"stopped early: {reason}")
    if verb != "validate" and (sentence := headline(results, verb)):
        print(sentence)
