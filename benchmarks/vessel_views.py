"""What test-time augmentation and scales cost a vessel segmenter, and what they bring.

    python benchmarks/vessel_views.py pretrained/vessels_best.ckpt --data_dir ../shared/data/DRIVE

On the validation images of the checkpoint's own split, inside the field of view, all pixels
pooled: Dice at the checkpoint's threshold and at the best one, AUROC, and the processor's seconds
a photograph, from the file to the map, on one core. Then, for the checkpoint's own views, the
curve of precision, sensitivity, and sensitivity on thin vessels over the threshold. Prints
Markdown.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent.parent))
from vessel_protocols import THIN, thin_vessels

from datamodules.drive import training_split
from datamodules.drive_files import FundusFiles, read_mask
from inference import load

THRESHOLDS = np.arange(0.1, 0.9, 0.01)


def dice(called: np.ndarray, truth: np.ndarray) -> float:
    """Of two masks of any shape."""
    return 2 * float((called & truth).sum()) / float(called.sum() + truth.sum())


def given(about: str) -> tuple[Any, list[FundusFiles], list[FundusFiles]]:
    """The command line's model, on one core, and the photographs of its own split."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--data_dir", type=Path, required=True, help="in the layout of DRIVE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.checkpoint, device="cpu", precision="32-true")
    trained = model.trained.data
    kept = (trained.get(key) for key in ("folds", "fold"))
    split = training_split(options.data_dir, trained["val_size"], trained["seed"], *kept)
    return model, *split


def masks(photographs: list[FundusFiles]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Vessels and field of view of each, bool ``(H, W)``."""
    truths, inside = [], []
    for files in photographs:
        size = torch.Size(Image.open(files.image).size[::-1])
        truths.append(read_mask(files.vessels, files.image, size)[0].numpy())
        inside.append(read_mask(files.fov, files.image, size, full=True)[0].numpy())
    return truths, inside


def within(maps: list[np.ndarray], inside: list[np.ndarray]) -> np.ndarray:
    """The values of all maps inside their fields of view, one after the other."""
    return np.concatenate([one[i] for one, i in zip(maps, inside, strict=True)])


def main() -> None:
    """Print both tables."""
    model, _, held_out = given(__doc__ or "")
    own = model.inference
    truths, inside = masks(held_out)
    truth = within(truths, inside)
    thin_truth = within([thin_vessels(one) for one in truths], inside)

    print(f"{len(held_out)} validation images; threshold {own.threshold}\n")
    print("| views | scales | Dice | at the best threshold | AUROC | seconds a photograph |")
    print("|---" * 6 + "|")
    for scales in dict.fromkeys([(1.0,), tuple(own.scales)]):
        for views in (1, 4, 8):
            model.inference = replace(own, tta=views, scales=scales)
            start, maps = time.process_time(), []
            for files in held_out:
                maps.append(model.predict(files.image).probability)
            seconds = (time.process_time() - start) / len(maps)
            p = within(maps, inside)
            best = max(dice(p > t, truth) for t in THRESHOLDS)
            print(
                f"| {views} | {', '.join(map(str, scales))} | {dice(p > own.threshold, truth):.4f} "
                f"| {best:.4f} | {roc_auc_score(truth, p):.4f} | {seconds:.1f} |",
                flush=True,
            )
    print(f"\n| threshold | precision | sensitivity | on vessels up to {THIN:g} px | Dice |")
    print("|---" * 5 + "|")
    for threshold in sorted({0.2, 0.3, 0.4, own.threshold, 0.5, 0.6, 0.7}):
        called = p > threshold
        found = (called & truth).sum()
        print(
            f"| {threshold:g} | {found / called.sum():.3f} | {found / truth.sum():.3f} "
            f"| {(called & thin_truth).sum() / thin_truth.sum():.3f} | {dice(called, truth):.4f} |"
        )


if __name__ == "__main__":
    main()
