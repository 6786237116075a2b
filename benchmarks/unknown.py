"""How well images unlike any in training are found: a class left out, and photographs of others.

    python benchmarks/unknown.py --data_dir ../shared/data/NEU \
        --foreign ../shared/data/blots/wb_dataset ../shared/data/DRIVE/test/images \
        --options --model.network.weights=../shared/data/weights/resnet18_imagenet_pq.pth

For each class: trains the config without it, 70 % of the others for training and 15 % for
validation, and scores the rest, the class and the foreign photographs. AUROC of the class against
the rest by 1 - confidence, by the distance to training alone, and by ``unknown``; then the share
that is called unknown.
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from cli import main
from datamodules.aoi_files import LabeledFiles, find_images
from datamodules.images import list_images
from inference import load
from lit_models.postprocessing.defects import nearest_distance

HEAD = ("left out", "1 - confidence", "distance", "unknown", "rest", "left out ", "foreign")


def write_split(path: Path, files: LabeledFiles, left_out: str, seed: int) -> list[Path]:
    """A table of all other classes, split at random; gives the images kept for testing."""
    known = [i for i, label in enumerate(files.labels) if label != left_out]
    order = np.random.default_rng(seed).permutation(known)
    parts = np.split(order, [int(0.7 * len(order)), int(0.85 * len(order))])
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label", "split"))
        for split, part in zip(("train", "val", "test"), parts, strict=True):
            rows.writerows((files.names[i], f"class {files.labels[i]}", split) for i in part)
    return [files.folder / files.names[i] for i in parts[2]]


def scores(model: Any, images: list[Path]) -> dict[str, np.ndarray]:
    """Of each image 1 - confidence, the distance to training, and the unknown score."""
    distances: list[Tensor] = []
    keep = model.unknown.register_forward_pre_hook(
        lambda detector, given: distances.append(nearest_distance(detector.features, given[0]))
    )
    found = list(model.predict(images))
    keep.remove()
    return {
        "1 - confidence": np.array([1 - result.confidence for result in found]),
        "distance": torch.cat(distances).numpy(),
        "unknown": np.array([result.unknown for result in found]),
    }


def measure(options: argparse.Namespace, files: LabeledFiles, left_out: str) -> list[float]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table.csv")
        rest = write_split(table, files, left_out, options.seed)
        args = ["fit", f"--config=configs/{options.config}.yaml", f"--data.table={table}"]
        args += [f"--data.data_dir={files.folder}", f"--run.root={folder}", "--run.name=run"]
        main([*args, "--run.wandb=disabled", f"--seed_everything={options.seed}", *options.options])
        model: Any = load(Path(folder, options.config, "run"), device="cpu")
        new = [
            files.folder / name
            for name, label in zip(files.names, files.labels, strict=True)
            if label == left_out
        ]
        foreign = [path for top in options.foreign for path in list_images(top)]
        known, other, photographs = (scores(model, images) for images in (rest, new, foreign))
        target = np.repeat([0, 1], [len(rest), len(new)])
        row = [roc_auc_score(target, np.concatenate([known[k], other[k]])) for k in HEAD[1:4]]
        limit = model.unknown.threshold
        return row + [float((s["unknown"] > limit).mean()) for s in (known, other, photographs)]


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    files = find_images(options.data_dir, "train")
    assert files is not None
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|", flush=True)
    rows = []
    for left_out in sorted(set(files.labels))[: options.classes]:
        rows.append(measure(options, files, left_out))
        cells = " | ".join(f"{value:.3f}" for value in rows[-1])
        print(f"| {left_out} | {cells} |", flush=True)
    print(f"| **mean** | {' | '.join(f'{value:.3f}' for value in np.mean(rows, axis=0))} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--foreign", type=Path, nargs="+", required=True, help="folders")
    parser.add_argument("--config", default="aoi")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classes", type=int, help="the first so many are left out; all")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of fit")
    run(parser.parse_args())
