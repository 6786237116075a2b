"""``report.html``: a run in one file, to be opened, understood and passed on."""

import base64
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from callbacks.atomic import atomic_write
from callbacks.reference import MAIN, REFERENCE
from callbacks.results import Results, read_results

log = logging.getLogger(__name__)

TITLES = {
    "aoi": "AOI defect classification",
    "vessels": "Retinal vessel segmentation",
    "retina": "Retinal image reconstruction",
    "blots": "Western-blot generation",
}


def short(value: float) -> str:
    """Four decimals, or four digits where that would show none."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def render(template: str, **values: Any) -> str:
    """The page that ``template``, a file beside this one, makes of ``values``."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
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
    task = results.task
    page = render(
        "report.html.j2",
        title=TITLES.get(task, task or "Run"),
        folder=results.folder.name,
        record=record,
        facts=_facts(record),
        details=_details(record),
        rows=_rows(results),
        epochs=results.epochs[-1] if results.epochs else 0,
        best_epoch=results.best_epoch,
        monitor=results.monitor,
        mode=results.mode,
        evaluated=[
            {"metric": name, "main": is_main(results, name), "value": results.evaluated[name]}
            for name in sorted(results.evaluated, key=lambda name: _rank(results, name))
        ],
        references=REFERENCE.get(task, {}),
        figures=[_figure(path) for path in _in_order(results.folder / "figures")],
        config=results.config,
    )
    path = results.folder / "report.html"
    with atomic_write(path) as half:
        half.write_text(page, encoding="utf-8")
    return path


def is_main(results: Results, metric: str) -> bool:
    """Whether a reader looks for ``metric`` first."""
    main = MAIN.get(results.task)
    return main is None or metric == results.monitor or metric.partition("/")[2] in main


def _rank(results: Results, metric: str) -> tuple[Any, ...]:
    stage, _, name = metric.partition("/")
    main = MAIN.get(results.task, ())
    place = main.index(name) if name in main else len(main)
    return metric != results.monitor, stage == "train", place, metric


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    test = record.get("test") or {}
    facts = {
        "Data": "built-in sample (synthetic)" if record.get("sample") else record.get("data"),
        "Weights": record.get("weights"),
        "Duration": duration(record.get("minutes")),
        "Best checkpoint": record.get("best_checkpoint"),
        "Tested": test and f"{Path(test['checkpoint']).name} on {test['data']} ({test['status']})",
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


def _rows(results: Results) -> list[Mapping[str, Any]]:
    """Metrics of training, the monitored one first, then as a reader looks for them."""
    names = sorted(
        (name for name in results.by_epoch if "/" in name), key=lambda name: _rank(results, name)
    )
    best, last = results.best_epoch, results.epochs[-1] if results.epochs else 0
    return [
        {
            "metric": name,
            "main": is_main(results, name),
            "best": results.by_epoch[name].get(best or 0),
            "last": results.by_epoch[name].get(last),
        }
        for name in names
    ]


def _in_order(folder: Path) -> list[Path]:
    """Figures of the run, the curves first and those of the test last."""
    return sorted(
        folder.glob("*.png"),
        key=lambda path: (path.stem.startswith("test"), path.stem != "curves", path.stem),
    )


def _figure(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as image:
        image.load()
        text = getattr(image, "text", {})
        width, height = image.size
    return {
        "base64": base64.b64encode(path.read_bytes()).decode(),
        "title": text.get("Title", path.stem),
        "caption": text.get("Description", ""),
        "width": width,
        "height": height,
    }


def print_table(results: Results) -> None:
    """Print the metrics a reader looks for first, of the best and of the last epoch."""
    from rich.console import Console
    from rich.table import Table

    last = results.epochs[-1] if results.epochs else 0
    table = Table("metric", f"best epoch ({results.best_epoch})", f"last epoch ({last})")
    for row in _rows(results):
        if row["main"]:
            values = (row["best"], row["last"])
            table.add_row(row["metric"], *("" if v is None else short(v) for v in values))
    Console().print(table)


class Report(Callback):
    """Writes ``report.html`` when ``fit``, ``validate`` or ``test`` ends, however it ends.

    Lines at the end give the main metrics of a ``fit``, and say where checkpoint and report are.
    """

    # Not on_fit_end: by teardown all figures are drawn, in whatever order the callbacks stand.
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "predict":
            self._write(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        if not (folder / "run.json").exists():  # stopped before it began
            return
        for logger in trainer.loggers:
            logger.save()
        try:
            if trainer.state.fn == "fit":
                print_table(read_results(folder))
            report = write_report(folder)
        except Exception as error:  # the run's results stand without it
            log.warning("no report: %s", str(error).partition("\n")[0])
            return
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        where = [f"checkpoint {_relative(best)}"] if best else []
        print("  ".join([*where, f"report {_relative(report)}"]), flush=True)


def _relative(path: str | Path) -> str:
    """``path`` as the user would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
