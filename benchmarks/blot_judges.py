"""Outside judges of generated blots: isolation forests that have seen real blots alone.

python benchmarks/blot_judges.py runs/blots_style/*/checkpoints/last.ckpt \
    --data_dir ../shared/data/blots

For each checkpoint and the fold that it held out: a forest is fitted on the real blots of the
training membranes, then tells held-out real blots from blots generated for their templates with
sampled styles. Features are the peaks of the residual's spectrum and statistics of the gray-level
co-occurrence (Cardenuto et al. 2024, arXiv 2409.18881). Balanced accuracy at the forest's own
threshold and at the best one for these blots, means over three seeds. The ridge regression of
`blot_scores.py` is told from real blots the same way: what a forest can tell at all.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np
from blot_scores import HeldOut, generate, gray, sampled_styles
from scipy.ndimage import gaussian_filter
from skimage.feature import graycomatrix, graycoprops, peak_local_max
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_curve

from experiment.checkpoints import read_checkpoint
from lit_models import StyledBlotGAN

PEAKS, SEEDS = 16, 3
STATISTICS = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "ASM")
ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)


def spectrum_peaks(blots: np.ndarray) -> np.ndarray:
    """Height over the median and place of the strongest peaks, ``(N, 3 * PEAKS)``."""
    rows = []
    for x in blots.astype(float):
        power = np.log(np.abs(np.fft.rfft2(x - gaussian_filter(x, 1))) + 1e-3)
        power = np.fft.fftshift(power, axes=0)
        peaks = peak_local_max(power, num_peaks=PEAKS, exclude_border=False)
        row = np.zeros((PEAKS, 3))
        row[: len(peaks), 0] = power[tuple(peaks.T)] - np.median(power)
        row[: len(peaks), 1:] = np.abs(peaks - [len(power) // 2, 0]) / len(power)
        rows.append(row.ravel())
    return np.array(rows)


def cooccurrence(blots: np.ndarray) -> np.ndarray:
    """`STATISTICS` of gray levels 1, 2 and 4 px apart in four directions."""
    matrices = [graycomatrix(x, (1, 2, 4), ANGLES, symmetric=True, normed=True) for x in blots]
    return np.array([[graycoprops(m, name) for name in STATISTICS] for m in matrices]).reshape(
        len(blots), -1
    )


def accuracies(known: np.ndarray, real: np.ndarray, fakes: list[np.ndarray]) -> np.ndarray:
    """Balanced at its own threshold, at the best one; the share of real ones called real."""
    found = []
    for seed, fake in enumerate(fakes):
        forest = IsolationForest(n_estimators=300, random_state=seed).fit(known)
        right, wrong = ((forest.predict(x) > 0).mean() for x in (real, fake))
        scores = forest.score_samples(np.concatenate([real, fake]))
        fpr, tpr, _ = roc_curve(np.repeat([1, 0], len(real)), scores)
        found.append(((1 + right - wrong) / 2, (1 + (tpr - fpr).max()) / 2, right))
    return np.mean(found, axis=0)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--eval_grain", type=float, help="of the generator; its own by default")
    options = parser.parse_args()
    print("| checkpoint | blots | features | balanced accuracy | best threshold | real right |")
    print("|---|---|---|---|---|---|")
    for path in options.checkpoints:
        data = HeldOut(options.data_dir, read_checkpoint(path).data["fold"])
        model = StyledBlotGAN.load_from_checkpoint(path, map_location="cpu").eval()
        if options.eval_grain is not None:
            model.generator.eval_grain = options.eval_grain
        styles = [sampled_styles(model, len(data.blots), [seed]) for seed in range(SEEDS)]
        sets = {
            "generated": [generate(model, data.templates, s, n) for n, s in enumerate(styles)],
            "ridge": [data.ridge],
        }
        for (name, fakes), describe in product(sets.items(), (spectrum_peaks, cooccurrence)):
            known, real, *fake = (describe(gray(x)) for x in (data.train, data.blots, *fakes))
            means = " | ".join(f"{value:.3f}" for value in accuracies(known, real, fake))
            run = path.parent.parent.name
            print(f"| {run} | {name} | {describe.__name__} | {means} |", flush=True)


if __name__ == "__main__":
    main()
