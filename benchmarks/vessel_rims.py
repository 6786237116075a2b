"""Where a vessel segmenter's errors lie: on the rims of drawn vessels, or elsewhere.

    python benchmarks/vessel_rims.py pretrained/vessels_best.ckpt --data_dir ../shared/data/DRIVE

On the validation images of the checkpoint's own split, inside the field of view, at its threshold:
how many of its false calls touch a drawn vessel; Dice and AUROC of all pixels and without the
background that touches a vessel; and by how much each drawing has to be moved for the highest Dice,
for one that lies beside its photograph cannot be matched. Prints Markdown.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent.parent))
from vessel_views import dice, given, masks, within

SHIFTS = np.arange(-1, 1.01, 0.25)  # px


def offset(p: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """Down and across in px from the map to the drawing, and the Dice gained by it."""
    scores = {
        shift: dice(ndimage.shift(p, shift, order=1) > threshold, truth)
        for shift in product(SHIFTS, SHIFTS)
    }
    down, across = max(scores, key=lambda shift: scores[shift])
    return down, across, scores[down, across] - scores[0.0, 0.0]


def main() -> None:
    """Print the figures of all images, then each image's offset."""
    model, _, held_out = given(__doc__ or "")
    threshold = model.inference.threshold
    truths, inside = masks(held_out)
    maps = [model.predict(files.image).probability for files in held_out]
    rims = [ndimage.binary_dilation(truth, np.ones((3, 3))) & ~truth for truth in truths]
    p, truth, rim = (within(values, inside) for values in (maps, truths, rims))
    called = p > threshold
    touching = (called & rim).sum() / (called & ~truth).sum()
    print(f"{len(held_out)} validation images; threshold {threshold}; of the false calls ", end="")
    print(f"{touching:.1%} touch a drawn vessel\n\n| background | Dice | AUROC |\n|---|---|---|")
    for name, pixels in (("all", np.ones_like(rim)), ("that touches no vessel", ~rim)):
        scores = dice(called[pixels], truth[pixels]), roc_auc_score(truth[pixels], p[pixels])
        print(f"| {name} | {scores[0]:.4f} | {scores[1]:.4f} |")
    print("\n| image | down, px | across, px | Dice gained |\n|---|---|---|---|")
    for files, one, drawn in zip(held_out, maps, truths, strict=True):
        down, across, gained = offset(one, drawn, threshold)
        print(f"| {files.image.name} | {down:+.2f} | {across:+.2f} | {gained:+.4f} |")


if __name__ == "__main__":
    main()
