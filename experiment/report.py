"""``report.html``: one self-contained page about a run."""

import base64
import csv
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiment.atomic import write_text
from experiment.headline import SPLITS, headline, plural, short
from experiment.metric_names import in_words, main_metrics
from experiment.run_results import RunResults, read_results
from experiment.tasks import task_of

log = logging.getLogger(__name__)

STAGES = {"validate": "Validation", "test": "Test"}
SAMPLE = "built-in sample (synthetic)"
TABLES = {  # written beside the figures
    "classes": "Classes",
    "photographs": "Photographs",
    "mistakes": "mistakes",
}
MAX_ROWS = 200  # of a table of images
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
        name=record.get("run") or results.folder.name,
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
    sizes = (settings.get(f"data.{name}") for name in ("image_size", "size", "inputs.size"))
    rates = {
        name.removeprefix("model.").removesuffix(".lr"): f"{value:g}"
        for name, value in settings.items()
        if name.endswith("optimizer.lr")
    }
    several = ", ".join(f"{rate} ({name})" for name, rate in rates.items())
    planned, reason = settings.get("trainer.max_epochs"), record.get("early_stop")
    epochs = f"{results.last_epoch} of {planned}" if planned else str(results.last_epoch)
    return [
        ("Data", SAMPLE if record.get("sample") else record.get("data")),
        ("Images", ", ".join(f"{count:,} {SPLITS[name]}" for name, count in counts.items())),
        ("Classes", f"{len(classes)}: {', '.join(classes)}" if classes else ""),
        ("Split", _split(settings)),
        ("Image size", next((f"{size} px" for size in sizes if size), "")),
        ("Learning rate", several if len(rates) > 1 else "".join(rates.values())),
        ("Epochs", f"{epochs}, stopped early: {reason}" if reason else epochs),
        ("Initial weights", record.get("weights")),
        ("Duration", duration(record.get("minutes"))),
        ("Best checkpoint", record.get("best_checkpoint")),
        ("Stopped by", record.get("error")),
    ]


def _split(settings: Mapping[str, Any]) -> str:
    """How images were held out, where the data do not say it themselves."""
    names = ("fold", "folds", "seed", "val_fraction", "val_size")
    fold, folds, seed, fraction, count = (settings.get(f"data.{name}") for name in names)
    if fold == "all":
        return "none: all images are trained on"
    if folds is not None:
        return f"fold {fold} of {folds}, seed {seed}"
    if fold is not None:
        return f"fold {fold} by seed {seed} if the data name no validation images"
    if fraction is None and count is None:
        return ""
    part = plural(count or 0, "image") if fraction is None else f"{100 * fraction:g} %"
    return f"{part} for validation, drawn by seed {seed} if the data name none"


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
    """The tables beside the figures."""
    for path in sorted(folder.glob("[!.]*.csv")):
        kind, tested = path.stem.removeprefix("test_"), path.stem.startswith("test_")
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        title = f"{TABLES.get(kind, kind)} ({'test' if tested else 'validation'})"
        yield {
            "title": f"{len(rows):,} {title}" if kind == "mistakes" else title,
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
