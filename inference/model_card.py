"""The model card ``model.json`` of an exported model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from common.paths import expand
from experiment.checkpoints import Checkpoint
from experiment.hardware import git_revision
from experiment.run_folder import run_folder_of
from experiment.run_results import RunResults, read_results
from experiment.tasks import TASKS
from inference.model import Model

SAMPLE = "built-in synthetic sample"
WARNING = "Trained on synthetic drawings; worth nothing on real images."
README = """\
---
library_name: lightning-image-tasks
pipeline_tag: {tag}
---
# {name}

{intended_use} {warning}

`inference.load("hf://user/name")` loads it. Metrics, by {protocol}, and settings:

```json
{card}
```
"""


def model_card(model: Model[Any]) -> dict[str, Any]:
    """The card of a model, of JSON values; `export` adds those of the graph.

    Raises:
        DataError: the run's record cannot be read.
    """
    trained, sample = model.trained, model.trained.trained_on_sample
    name, task = next((n, t) for n, t in TASKS.items() if trained.method in t.models)
    run = run_folder_of(trained.path)
    results = read_results(run) if run else None
    record = results.record if results else {}
    return {
        "task": name,
        "name": f"{run.parent.name}/{run.name}" if run else trained.path.stem,
        "intended_use": task.intended_use,
        "sample": sample,
        "trained_on": SAMPLE if sample else expand(trained.data["data_dir"]).resolve().name,
        "warning": WARNING if sample else None,
        "seed": record.get("seed"),
        "metrics": _metrics(trained, results) if results else [],
        "protocol": task.protocol,
        **model.card(),
        "inference": trained.model.get("inference"),
        "preprocessing": trained.data.get("inputs"),
        "precision": "float32",
        "network": type(model.network).__name__,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "checkpoint": {"file": trained.path.name, "sha256": sha256(trained.path)},
        "git_revision": {"training": record.get("git_revision"), "export": git_revision()},
        "torch": torch.__version__,
    }


def readme(card: dict[str, Any]) -> str:
    """The card as ``README.md`` of a model on the Hugging Face hub."""
    tags = {"aoi": "image-classification", "vessels": "image-segmentation"}
    parts = {"tag": tags.get(card["task"], "image-to-image"), "warning": card["warning"] or ""}
    return README.format(**card | parts, card=json.dumps(card, indent=2, ensure_ascii=False))


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _metrics(trained: Checkpoint, results: RunResults) -> list[dict[str, Any]]:
    """Of this checkpoint: its epoch's validation, and the evaluations since."""
    found, file, epoch = [], trained.path.name, results.best_epoch
    if file == results.record.get("best_checkpoint") and epoch is not None:
        values = {k: v for k, v in results.at_best.items() if k.startswith("val/")}
        found.append({"stage": "validation while training", "epoch": epoch, "values": values})
    for entry in results.evaluations:
        if Path(entry.get("checkpoint") or "").name == file and entry.get("metrics"):
            data = SAMPLE if entry["sample"] else Path(entry["data"]).name
            found.append({"stage": entry["stage"], "data": data, "values": entry["metrics"]})
    return found
