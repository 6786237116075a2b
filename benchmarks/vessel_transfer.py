"""A vessel segmenter on photographs of other sets, untouched, and how far its measures agree.

    python benchmarks/vessel_transfer.py pretrained/vessels_best.ckpt DRIVE CHASE_DB1 STARE HRF

For the test images of each folder, or all where there is no split: Dice inside the field of view at
the checkpoint's threshold, and at the best one for the set, which needs its labels; healthy and
diseased eyes apart where names tell them (HRF: h, dr, g; FIVES: N, A, D, G). Then each measure of
`vessels.csv` against that of the first observer's drawing, beside the second observer's, if any:
Lin's concordance (CCC), bias in per cent and in standard deviations of the first observer's values,
and 95 % limits of agreement in per cent (Bland and Altman 1986). Prints Markdown.

Published, trained on DRIVE, mean of the images' Dice at a threshold chosen before: STARE .812,
CHASE_DB1 .752, HRF .744 (bob.ip.binseg, three networks).
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vessel_drawings import THRESHOLDS, dice, drawn

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.fundus_files import find_photographs
from inference import load
from lit_models.postprocessing.vessel_measures import MEASURES, MeasuredVessels, measure_vessels

HEALTHY, DISEASED = ("h", "N"), ("dr", "g", "A", "D", "G")


def group(name: str) -> str:
    """Whether the eye is healthy, as far as the file's name says so."""
    kind = re.sub(r".*_", "", Path(name).stem)
    return "healthy" if kind in HEALTHY else "diseased" if kind in DISEASED else "not told"


def agreement(found: np.ndarray, first: np.ndarray) -> list[str]:
    """CCC, bias in per cent and in sd, and limits of agreement in per cent."""
    both = np.isfinite(found) & np.isfinite(first)
    found, first = found[both], first[both]
    difference, mean = found - first, first.mean()
    covariance = np.cov(found, first, bias=True)[0, 1]
    ccc = 2 * covariance / (found.var() + first.var() + difference.mean() ** 2)
    bias, limit = difference.mean(), 1.96 * difference.std(ddof=1)
    low, high = (100 * (bias + sign * limit) / mean for sign in (-1, 1))
    numbers = [f"{ccc:.2f}", f"{100 * bias / mean:+.1f} %", f"{bias / first.std(ddof=1):+.2f}"]
    return [*numbers, f"{low:+.0f} to {high:+.0f} %"]


def table(measured: list[MeasuredVessels]) -> np.ndarray:
    """Measures of whole photographs, ``(N, measures)``."""
    return np.array([[getattr(m.regions["whole"], k) for k in MEASURES] for m in measured])


def report(model: Any, folder: Path) -> None:
    """Print both tables of one folder."""
    threshold, centerline = model.inference.threshold, model.inference.centerline
    groups: dict[str, list[tuple[np.ndarray, ...]]] = {}
    observers: dict[str, list[MeasuredVessels]] = {"first": [], "network": [], "second": []}
    splits = find_photographs(folder).splits
    for files in splits.get("test") or splits.get("undivided") or splits["training"]:
        first, second, fov = drawn(files)
        p = model.predict(files.image).probability
        own = measure_vessels(p, fov, threshold, centerline)
        again = first if second is None else second
        found = tuple(x[fov] for x in (p, first, again, own.traced))
        groups.setdefault(group(files.name), []).append(found)
        observers["network"].append(own)
        observers["first"].append(measure_vessels(first.astype(float), fov))
        if second is not None:
            observers["second"].append(measure_vessels(second.astype(float), fov))
    columns = "images | Dice, pooled | image mean | best | with center lines | second observer"
    print(f"\n{folder.name}\n\n| eyes | {columns} |\n" + "|---" * 7 + "|")
    for name, images in groups.items():
        p, first, again, traced = (np.concatenate(x) for x in zip(*images, strict=True))
        best = max((dice(p > t, first), t) for t in THRESHOLDS)
        mean = np.mean([dice(x[0] > threshold, x[1]) for x in images])
        other = f"{dice(again, first):.4f}" if observers["second"] else ""
        print(
            f"| {name} | {len(images)} | {dice(p > threshold, first):.4f} | {mean:.4f} "
            f"| {best[0]:.4f} at {best[1]:.2f} | {dice(traced, first):.4f} | {other} |"
        )
    flagged = sum(bool(m.quality) for m in observers["network"])
    print(f"\n{flagged} photographs with quality flags\n")
    print("| measure | by | CCC | bias | in sd | limits of agreement |\n" + "|---" * 6 + "|")
    for column, measure in enumerate(MEASURES):
        for by in ("network", "second"):
            if observers[by]:
                pair = (table(observers[who])[:, column] for who in (by, "first"))
                print(f"| {measure} | {by} | {' | '.join(agreement(*pair))} |", flush=True)


def main() -> None:
    """Report on each folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("folders", nargs="+", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.checkpoint, device="cpu", precision="32-true")
    for folder in options.folders:
        report(model, folder)


if __name__ == "__main__":
    main()
