"""``report.html``: one self-contained page about a run, and its result in one sentence."""

import base64
import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from experiment.atomic import write_text
from experiment.run_results import RunResults, read_results
from experiment.tasks import SPLITS, in_words, main_metrics, task_of

SAMPLE = "built-in sample (synthetic)"
CONFIDENCE = 0.95  # of intervals
MAX_ROWS = 200  # of a table of images
SPLIT_BY = ("folds", "fold", "val_fraction", "val_size", "seed")
SHOWN = ("images", "classes", "evaluations")  # of the record, elsewhere on the page


def render(template: str, **values: Any) -> str:
    """Fill in ``template``, a file in templates/."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": short, "in_words": in_words}
    return environment.get_template(template).render(**values)


def write_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` from the files in ``run_dir`` and return its path.

    Reads ``run.json``, ``config.yaml``, ``metrics.csv``, ``figures/*.png`` and ``figures/*.csv``;
    what is missing is left out. The page contains its images and needs no network.

    Raises:
        DataError: a file cannot be read as what its name says.
    """
    results = read_results(run_dir)
    path, figures = results.folder / "report.html", results.folder / "figures"
    page = render(
        "report.html.j2",
        results=results,
        record=results.record,
        task=task_of(results.task).title,
        headline=headline(results),
        facts=_facts(results),
        details={k: v for k, v in results.record.items() if k not in SHOWN},
        scores=[_training(results), *(_evaluation(results, e) for e in results.evaluations)],
        tables=[*_tables(figures)],
        figures=[*_figures(figures)],
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
        ("Minutes", record.get("minutes")),
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
    title = f"{'Test' if record['stage'] == 'test' else 'Validation'} of {what}"
    return _scores(results, title, facts, {"Value": record.get("metrics") or {}})


def _scores(
    results: RunResults, title: str, facts: str, columns: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """A table of metrics: the main ones in the order in which a reader looks for them."""
    names = sorted({name for values in columns.values() for name in values if "/" in name})
    main = [name for stage in SPLITS for name in main_metrics(results.task, stage, names)]
    main += [results.monitor] if results.monitor in {*names} - {*main} else []
    rest = [name for name in names if name not in main]
    return {"title": title, "facts": facts, "columns": columns, "main": main, "rest": rest}


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
    for path in sorted(
        folder.glob("[!.]*.png"),  # not what a killed process was about to write
        key=lambda path: (path.stem.startswith("test"), path.stem != "curves", path.stem),
    ):
        with Image.open(path, formats=("PNG",)) as image:
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
    import pandas as pd

    latest = [one for one in results.evaluations if one["stage"] == verb][-1:]
    scores = _evaluation(results, latest[0]) if latest else _training(results)
    if names := scores["main"] or scores["rest"]:
        table = pd.DataFrame(scores["columns"], dtype=float).loc[names]
        print(table.to_string(float_format=short, na_rep="", max_colwidth=None))
    if verb == "fit" and (reason := results.record.get("early_stop")):
        print(f"stopped early: {reason}")
    if verb != "validate" and (sentence := headline(results, verb)):
        print(sentence)


def headline(results: RunResults, verb: str = "test") -> str:
    """The result in one sentence: of the latest test, else of validation; "" if there is none.

    "64 of 66 validation images classified correctly (95 % interval 89.6 to 99.2 %)."
    With ``verb`` "fit" that of validation.
    """
    tests = [e for e in results.evaluations if e["stage"] == verb == "test" and e.get("metrics")]
    stage, record = ("test", tests[-1]) if tests else ("val", results.record)
    metrics = record["metrics"] if tests else results.at_best
    main = main_metrics(results.task, stage, metrics)
    known = [name for name in main if metrics[name] is not None]
    names = [name for name in known if not name.endswith("loss")][:3]
    if not names:
        return ""
    count = (record.get("images") or {}).get(stage)
    kind = f"{'synthetic ' if record.get('sample') else ''}{SPLITS[stage]}"
    images = f"{kind} images" if count is None else f"{count:,} {kind} image{'s' * (count != 1)}"
    right = (metrics.get(f"{stage}/accuracy") or 0) * (count or 0)
    if results.task == "aoi" and count and abs(right - round(right)) < 0.01:
        low, high = (100 * limit for limit in wilson_interval(round(right), count))
        return (
            f"{round(right):,} of {images} classified correctly "
            f"(95\u00a0% interval {low:.1f} to {high:.1f}\u00a0%)."
        )
    sentence = ", ".join(f"{in_words(name, stage=False)} {short(metrics[name])}" for name in names)
    return f"{sentence[0].upper()}{sentence[1:]}, on {images}."


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to import

    found = binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def short(value: float) -> str:
    """Four decimals, or four digits where that would show none."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"
