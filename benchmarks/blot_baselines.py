"""What a blot GAN must not lose to: a painted mask, a ridge regression; and real against real.

python benchmarks/blot_baselines.py ../shared/data/blots --kid_weights <ResNet-18 state dict>
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from blot_scores import Scores, embed, fold_of, membranes, score, unit

from lit_models.metrics.kid import BlotKID


def paint(train: Tensor, targets: Tensor, held_out: Tensor) -> Tensor:
    """The band mask in the two mean grays of the training blots, blurred with sigma 1."""
    band, paper = (targets[train[:, :1] == value].mean() for value in (0, 1))
    painted = torch.where(held_out[:, :1] < 0.5, band, paper).numpy()
    return torch.from_numpy(gaussian_filter(painted, (0, 0, 1, 1)))


def ridge(train: Tensor, targets: Tensor, held_out: Tensor, penalty: float = 100.0) -> Tensor:
    """Each pixel from the 7x7 windows of both templates around it, by ridge regression."""
    x, y = windows(train), targets.flatten().double()
    mean, offset = x.mean(0), y.mean()
    x -= mean
    weights = torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]), x.T @ (y - offset))
    predicted = (windows(held_out) - mean) @ weights + offset
    return predicted.float().view(-1, 1, *held_out.shape[2:])


def windows(templates: Tensor) -> Tensor:
    """Double ``(N * H * W, 98)``, edges replicated."""
    patches = F.unfold(F.pad(templates, [3] * 4, mode="replicate"), 7)
    return patches.transpose(1, 2).flatten(0, 1).double()


def halves(real: Tensor, groups: list[str], features: BlotKID) -> tuple[float, float]:
    """KID between halves of the real blots by membrane: mean and deviation of 30 splits."""
    x = embed(real, features)
    kernel = (x @ x.T / x.shape[1] + 1) ** 3
    names, rng, kids = np.unique(groups), np.random.default_rng(0), []
    for _ in range(30):
        half = torch.from_numpy(np.isin(groups, rng.permutation(names)[: len(names) // 2]))
        parts = kernel[half][:, half], kernel[~half][:, ~half]
        within = sum((k.sum() - k.trace()) / (len(k) * (len(k) - 1)) for k in parts)
        kids.append(float(within - 2 * kernel[half][:, ~half].mean()))
    return float(np.mean(kids)), float(np.std(kids))


def main() -> None:
    """Print one line of Markdown for each baseline and fold, and for all folds together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir")
    parser.add_argument("--kid_weights")
    options = parser.parse_args()
    features = BlotKID(options.kid_weights)
    made: dict[str, list[Tensor]] = {"painted mask": [], "ridge 7x7": []}
    real, groups = [], []
    print(f"| baseline | fold | L1 | PSNR | SSIM | 1000 {features.name} (95 %) |")
    for fold in range(5):
        train, held_out = fold_of(options.data_dir, fold)
        (x, y), (templates, targets) = unit(train), unit(held_out)
        real.append(targets)
        groups.append(membranes(options.data_dir, held_out))
        for name, baseline in (("painted mask", paint), ("ridge 7x7", ridge)):
            made[name].append(baseline(x, y, templates))
            print(row(name, fold, score(made[name][-1], targets, groups[-1], features)))
    everything, every_group = torch.cat(real), list(chain.from_iterable(groups))
    for name, blots in made.items():
        print(row(name, "all", score(torch.cat(blots), everything, every_group, features)))
    mean, std = halves(everything, every_group, features)
    print(f"real against real, halves by membrane: {1e3 * mean:.1f} +- {1e3 * std:.1f}")


def row(name: str, fold: int | str, scores: Scores) -> str:
    """A line of Markdown."""
    return f"| {name} | {fold} | {scores} |"


if __name__ == "__main__":
    main()
