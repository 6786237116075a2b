"""The model card ``model.json`` of an exported model."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from common.paths import expand
from datamodules.aoi_files import label_numbers
from datamodules.blot_files import COURSE
from datamodules.blot_style import NAMES
from experiment.checkpoints import Checkpoint
from experiment.provenance import git_revision
from experiment.run_folder import run_folder_of
from experiment.run_results import read_results
from inference.blots import BlotModel
from inference.calibration import review_threshold
from inference.defects import DefectModel
from inference.examples import TASKS
from inference.graph import Graph
from inference.model import Model
from inference.retina import RetinaModel
from inference.styled_blots import StyledBlotModel
from inference.vessels import VesselModel

USES = {
    "aoi": "Sorting images into the classes it was trained on. Not for other products or cameras "
    "without a test on their images; every image, whatever it shows, gets one of the classes.",
    "vessels": "Marking blood vessels in color photographs of the retina, for research. Not a "
    "medical device: no diagnosis may rest on it.",
    "retina": "Copying color photographs of the retina, for research on their compression. Not a "
    "medical device: details that matter may be lost.",
    "blots": "Drawing synthetic Western blots as training data. Never to be shown as the result of "
    "an experiment.",
}
PROTOCOLS = {
    "aoi": "share of images and mean over classes, each image once; accuracy, f1_macro and others "
    "in 0 to 1",
    "vessels": "at the files' size; fov/ inside the field of view, full_image/ everywhere; pooled "
    "over all pixels of the images, at the threshold below; test-time augmentation as below",
    "retina": "of the network's input against its copy, in [0, 1]; PSNR in dB and SSIM (Gaussian "
    "of 1.5 px) of each image, then their mean",
    "blots": "generated blots against the true ones of held-out membranes, in [-1, 1]; mean over "
    "images",
}
TABLES = {
    "vessels": ["mask", "probability", "vessel_fraction"],
    "retina": ["image", "psnr", "ssim"],
    "blots": ["image"],
}


def model_card(model: Model, graph: Graph) -> dict[str, Any]:
    """The card of a model and of the graph that computes it, of JSON values.

    Raises:
        DataError: the run's record cannot be read.
    """
    trained, task = model.trained, TASKS[model.trained.method]
    run = run_folder_of(trained.path)
    record = read_results(run).record if run else {}
    data = "built-in synthetic sample" if trained.trained_on_sample else _name(trained.data)
    return {
        "task": task,
        "name": f"{run.parent.name}/{run.name}" if run else trained.path.stem,
        "intended_use": USES[task],
        "sample": trained.trained_on_sample,
        "trained_on": data,
        "warning": "trained on synthetic drawings; worth nothing on real images"
        if trained.trained_on_sample
        else None,
        "seed": record.get("seed"),
        "metrics": _metrics(trained, run),
        "protocol": PROTOCOLS[task],
        **_settings(model, task),
        "inputs": {
            name: _in_words(x, free)
            for (name, x), free in zip(graph.inputs.items(), graph.free_sides(), strict=True)
        },
        "outputs": list(graph.outputs),
        "precision": "float32",
        "network": type(model.network).__name__,
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "checkpoint": {"file": trained.path.name, "sha256": sha256(trained.path)},
        "git_revision": {"training": record.get("git_revision"), "export": git_revision()},
        "torch": torch.__version__,
    }


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(data: dict[str, Any]) -> str:
    return expand(data["data_dir"]).resolve().name


def _in_words(example: torch.Tensor, free: dict[int, Any]) -> str:
    names = dict(zip(free, "NHW", strict=False))
    sides = [names.get(axis, str(side)) for axis, side in enumerate(example.shape)]
    return f"{str(example.dtype).removeprefix('torch.')} ({', '.join(sides)})"


def _settings(model: Model, task: str) -> dict[str, Any]:
    """What the runner needs to know."""
    tables = {"predictions": ["ID", *TABLES.get(task, ["Label"])]}
    if isinstance(model, DefectModel):
        tables["probabilities"] = ["ID", "label", "confidence", *model.class_names]
        if (review_below := _review_below(model.trained)) is not None:
            tables["review"] = ["ID", "label", "confidence"]
        return {
            "mode": model.mode,
            "class_names": model.class_names,
            "labels": label_numbers(model.class_names),
            "size": model.size,
            "resize": model.resize,
            "tta": model.inference.tta,
            "temperature": model.inference.temperature or 1.0,
            "review_below": review_below,
            "tables": tables,
        }
    if isinstance(model, VesselModel):
        return {
            "mode": model.inputs.mode,
            "size": model.inputs.size,
            "diameter": model.inputs.diameter,
            "local_normalization": model.inputs.local_normalization,
            "threshold": model.inference.threshold,
            "centerline": model.inference.centerline,
            "tta": model.inference.tta,
            "scales": list(model.inference.scales),
            "tables": tables,
        }
    if isinstance(model, BlotModel):
        patterns = list(model.trained.data.get("templates") or COURSE[1])
        blots = {"mode": "L", "size": model.size, "templates": patterns}
        if isinstance(model, StyledBlotModel):
            tables["styles"] = ["image", *NAMES]
            known = [" ".join(map(str, row)) for row in model.known_rows()]  # a line each
            blots |= {"size": None, "style_bank": known, "noise": model.noise}
        return {**blots, "tables": tables}
    assert isinstance(model, RetinaModel)
    return {"mode": "RGB", "size": model.size, "tables": tables}


def _review_below(trained: Checkpoint) -> float | None:
    """Confidence above which at most 1 % of the validation images were wrong; None if unknown."""
    kept = trained.callbacks.get("TemperatureScaling") or {}
    if "confidence" not in kept:
        return None
    return min(review_threshold(kept["confidence"], kept["correct"], 0.01), 2.0)


def _metrics(trained: Checkpoint, run: Path | None) -> list[dict[str, Any]]:
    """Of this checkpoint: its epoch's validation, and the evaluations since."""
    if run is None:
        return []
    results, found = read_results(run), []
    epoch = results.best_epoch
    if trained.path.name == results.record.get("best_checkpoint") and epoch is not None:
        values = {k: v for k, v in results.at_best.items() if k.startswith("val/")}
        found.append({"stage": "validation while training", "epoch": epoch, "values": values})
    for entry in results.evaluations:
        used = Path(entry.get("checkpoint") or "").name
        if used == trained.path.name and entry.get("metrics"):
            data = "built-in synthetic sample" if entry["sample"] else Path(entry["data"]).name
            found.append({"stage": entry["stage"], "data": data, "values": entry["metrics"]})
    return found
