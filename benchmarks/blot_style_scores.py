"""The six measures of a `StyledBlotGAN`, or a `BlotGAN`, on membranes not trained on.

python benchmarks/blot_style_scores.py runs/blots_style/*/checkpoints/last.ckpt \
    --data_dir ../shared/data/blots --kid_weights <ResNet-18 state dict>

Of each checkpoint on the fold that it held out, and their means: KID with sampled styles; how often
a detector tells generated from real, and the GAN's own D; with the true style L1, SSIM and KID,
beside a ridge regression whose gray levels are set to the true ones; how ten samples of a template
differ, over how real membranes do; Dice with template 1; how far styles are from those asked for.
A `BlotGAN` takes no style: for the true one its gray levels are set after the fact, as ridge's are,
and its samples differ in their noise alone.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from blot_baselines import ridge
from blot_scores import embed, fold_of, kid_interval, membranes, score, unit

from datamodules.blot_style import NAMES, draw_styles, measure_style, otsu
from inference.checkpoint import Trained, read_trained
from lit_models import BlotGAN, StyledBlotGAN
from lit_models.metrics.kid import BlotKID

DRAWS = 10  # samples of a template
TEMPLATES = 20  # that are sampled so


class HeldOut:
    """A fold's held-out blots and what they are compared with.

    Attributes:
        templates: in [0, 1], ``(N, 2, H, W)``.
        blots: the real ones in [0, 1], ``(N, 1, H, W)``.
        groups: membrane of each.
        styles: measured on them, ``(N, 8)``.
        ridge: baseline with the true gray levels, in [0, 1].
    """

    def __init__(self, data_dir: str, fold: int) -> None:
        train, held_out = fold_of(data_dir, fold)
        self.templates, self.blots = unit(held_out)
        self.groups = np.array(membranes(data_dir, held_out))
        self.styles = styles_of(self.blots, self.templates)
        x, y = unit(train)
        self.ridge = set_levels(ridge(x, y, self.templates), self.templates, self.styles)
        self.every_blot = torch.cat([y, self.blots])
        self.every_group = np.array([*membranes(data_dir, train), *self.groups])


def gray(blots: Tensor) -> np.ndarray:
    """uint8 ``(N, H, W)`` of blots ``(N, 1, H, W)`` in [0, 1]."""
    return (blots[:, 0] * 255).round().byte().numpy()


def styles_of(blots: Tensor, templates: Tensor) -> np.ndarray:
    """Measured styles ``(N, 8)``."""
    pairs = zip(gray(blots), templates[:, 0].numpy() < 0.5, strict=True)
    return np.stack([measure_style(pixels, bands) for pixels, bands in pairs])


def set_levels(blots: Tensor, templates: Tensor, styles: np.ndarray) -> Tensor:
    """Each blot's gray values mapped linearly, so that paper and bands are those of ``styles``."""
    own = torch.from_numpy(styles_of(blots.clamp(0, 1), templates)[:, :2] / 255)
    asked = torch.from_numpy(styles[:, :2] / 255)
    contrast = own[:, 0] - own[:, 1]
    contrast = torch.where(contrast.abs() > 1 / 255, contrast, 1.0)
    scale = ((asked[:, 0] - asked[:, 1]) / contrast)[:, None, None, None]
    moved = (blots - own[:, 1, None, None, None]) * scale + asked[:, 1, None, None, None]
    return moved.clamp(0, 1)


@torch.no_grad()
def generate(model: BlotGAN, templates: Tensor, styles: np.ndarray, seed: int) -> Tensor:
    """Blots in [0, 1]."""
    torch.manual_seed(seed)
    if not isinstance(model, StyledBlotGAN):
        return (torch.cat([model(part) for part in (templates * 2 - 1).split(40)]) + 1) / 2
    pairs = zip((templates * 2 - 1).split(40), torch.from_numpy(styles).split(40), strict=True)
    return (torch.cat([model(*pair) for pair in pairs]) + 1) / 2


@torch.no_grad()
def called_real(model: BlotGAN, templates: Tensor, styles: np.ndarray, blots: Tensor) -> float:
    """Share of blots that the GAN's own D takes for real."""
    style = [torch.from_numpy(styles)] if isinstance(model, StyledBlotGAN) else []
    logits = model.discriminator(templates * 2 - 1, *style, blots * 2 - 1)
    return float((logits.flatten(1).mean(1) > 0).float().mean())


def log_spectrum(blots: Tensor) -> np.ndarray:
    """Log power ``(N, H * (W / 2 + 1))``."""
    x = blots[:, 0].numpy()
    power = np.abs(np.fft.rfft2(x - x.mean((1, 2), keepdims=True))) ** 2
    return np.log(power + 1e-4).reshape(len(x), -1)


def cooccurrence(blots: Tensor, levels: int = 16) -> np.ndarray:
    """Of gray levels of neighbors, and of their differences: grain, clipping and compression."""
    rows = []
    for x in gray(blots).astype(int):
        row: list[float] = []
        coarse = x * levels // 256
        for down, right in ((0, 1), (1, 0), (0, 2), (2, 0)):
            here = np.s_[: x.shape[0] - down, : x.shape[1] - right]
            there = np.s_[down:, right:]
            pairs = (coarse[here] * levels + coarse[there]).ravel()
            p = np.bincount(pairs, minlength=levels**2).reshape(levels, levels) / pairs.size
            i, j = np.mgrid[:levels, :levels]
            contrast, homogeneity = (p * (i - j) ** 2).sum(), (p / (1 + (i - j) ** 2)).sum()
            row += [contrast, homogeneity, (p**2).sum(), -(p * np.log(p + 1e-12)).sum()]
            difference = (x[there] - x[here]).clip(-8, 8) + 8
            row += list(np.bincount(difference.ravel(), minlength=17) / difference.size)
        rows.append(row)
    return np.sqrt(np.abs(np.array(rows)))


def detect(real: Tensor, fake: Tensor, features: BlotKID, groups: np.ndarray) -> dict[str, float]:
    """Accuracy of a logistic regression, cross-validated by membrane, by kind of features.

    The best of three penalties is taken, so that the detector is no straw man.
    """
    kinds = {
        "spectrum": log_spectrum,
        "co-occurrence": cooccurrence,
        "ResNet": lambda blots: embed(blots, features).numpy(),
    }
    scaled = {}
    for name, describe in kinds.items():
        z = StandardScaler().fit_transform(np.concatenate([describe(real), describe(fake)]))
        scaled[name] = z / np.sqrt(z.shape[1])
    scaled["all"] = np.concatenate([*scaled.values()], axis=1)
    label, where = np.repeat([1, 0], len(real)), np.concatenate([groups, groups])
    folds = GroupKFold(min(10, len(np.unique(groups))))

    def accuracy(z: np.ndarray, penalty: float) -> float:
        model = LogisticRegression(C=penalty, max_iter=500)
        return float((cross_val_predict(model, z, label, groups=where, cv=folds) == label).mean())

    return {
        f"detector, {name}, %": 100 * max(accuracy(z, c) for c in (1, 10, 100))
        for name, z in scaled.items()
    }


def dice(blots: Tensor, templates: Tensor) -> float:
    """Mean Dice of the thresholded blots with template 1."""
    values = []
    for pixels, bands in zip(gray(blots), templates[:, 0].numpy() < 0.5, strict=True):
        found = otsu(pixels)
        values.append(2 * (found & bands).sum() / max(found.sum() + bands.sum(), 1))
    return float(np.mean(values))


def spread(blots: Tensor) -> np.ndarray:
    """Standard deviations of mean gray and of contrast over blots."""
    x = gray(blots).astype(float)
    return np.array([v.std(ddof=1) for v in (x.mean((1, 2)), x.std((1, 2)))])


def real_spread(blots: Tensor, groups: np.ndarray) -> np.ndarray:
    """The same of a blot from each of ten membranes, the mean of 200 choices."""
    rng, names = np.random.default_rng(0), np.unique(groups)
    chosen = [
        [rng.choice(np.flatnonzero(groups == name)) for name in rng.permutation(names)[:DRAWS]]
        for _ in range(200)
    ]
    return np.mean([spread(blots[some]) for some in chosen], axis=0)


def drawn_styles(model: BlotGAN, count: int, seed: list[int]) -> np.ndarray:
    """As the training blots have them, ``(N, 8)``; zeros for a GAN that takes none."""
    if not isinstance(model, StyledBlotGAN):
        return np.zeros((count, 8), np.float32)
    known = model.style_bank.numpy()
    known = known[known[:, 0] >= 0]
    return draw_styles(known[:, 1:], known[:, 0], count, seed)


def diversity(model: BlotGAN, data: HeldOut) -> np.ndarray:
    """`spread` of ten samples of a template over that of real membranes."""
    some = np.random.default_rng(0).permutation(len(data.templates))[:TEMPLATES]
    spreads = []
    for i in some:
        templates = data.templates[i : i + 1].expand(DRAWS, -1, -1, -1)
        blots = generate(model, templates, drawn_styles(model, DRAWS, [2, i]), 0)
        spreads.append(spread(blots.clamp(0, 1)))
    return np.mean(spreads, axis=0) / real_spread(data.every_blot, data.every_group)


def measures(trained: Trained, data: HeldOut, features: BlotKID) -> dict[str, float]:
    """All of a checkpoint, by name."""
    kind = {"BlotGAN": BlotGAN, "StyledBlotGAN": StyledBlotGAN}[trained.method]
    model = kind.load_from_checkpoint(trained.path, map_location="cpu").eval()
    groups, styled = list(data.groups), isinstance(model, StyledBlotGAN)
    true = generate(model, data.templates, data.styles, 0)
    true = true if styled else set_levels(true, data.templates, data.styles)
    rows = {
        name: score(blots, data.blots, groups, features)
        for name, blots in (("true style", true), ("ridge, true levels", data.ridge))
    }
    real_features, kids, fooled = embed(data.blots, features), [], []
    for seed in range(3):
        asked = drawn_styles(model, len(data.templates), [seed])
        sampled = generate(model, data.templates, asked, seed).clamp(0, 1)
        kids.append(kid_interval(real_features, embed(sampled, features), groups, draws=1)[0])
        fooled.append(called_real(model, data.templates, asked, sampled))
    off = np.median(np.abs(styles_of(sampled, data.templates) - asked), axis=0)
    gray_ratio, contrast_ratio = diversity(model, data)
    found = {"1000 KID, sampled style": 1e3 * float(np.mean(kids))}
    found |= detect(data.blots, sampled, features, data.groups)
    found["D right about generated, %"] = 100 * (1 - float(np.mean(fooled)))
    real = called_real(model, data.templates, data.styles, data.blots)
    found["D right about real, %"] = 100 * real
    for name, scores in rows.items():
        found |= {f"L1, {name}": scores.l1, f"SSIM, {name}": scores.ssim}
        found[f"1000 KID, {name}"] = 1e3 * scores.kid
    found |= {"sd of mean gray / real": gray_ratio, "sd of contrast / real": contrast_ratio}
    found |= {"Dice, sampled": dice(sampled, data.templates)}
    found |= {"Dice, real": dice(data.blots, data.templates)}
    every = zip(NAMES, off.tolist(), strict=True)
    return found | {f"median off, {n}": v if styled else np.nan for n, v in every}


def main() -> None:
    """Print a table in Markdown: rows are measures, columns checkpoints and their mean."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--kid_weights", help="ResNet-18 state dict; fixed random features without")
    options = parser.parse_args()
    features, held_out, columns = BlotKID(options.kid_weights), dict[int, HeldOut](), []
    for path in options.checkpoints:
        trained = read_trained(path)
        fold = trained.data["fold"]
        if fold not in held_out:
            held_out[fold] = HeldOut(options.data_dir, fold)
        found = measures(trained, held_out[fold], features)
        columns.append((f"{path.parent.parent.name}, fold {fold}", found))
    print("| measure |", " | ".join(name for name, _ in columns), "| mean |")
    print("|---|" + "---|" * (len(columns) + 1))
    for name in columns[0][1]:
        values = [found[name] for _, found in columns]
        print(f"| {name} |", " | ".join(f"{v:.4g}" for v in [*values, np.mean(values)]), "|")


if __name__ == "__main__":
    main()
