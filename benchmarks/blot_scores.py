"""Scores of a blot GAN on membranes that it was not trained on.

python benchmarks/blot_scores.py runs/blots_style/*/checkpoints/last.ckpt \
    --data_dir ../shared/data/blots --kid_weights <ResNet-18 state dict>

For each checkpoint, on the fold that it held out: KID with sampled styles; how often a detector,
and the GAN's own discriminator, tell generated from real; with the true style L1, SSIM and KID,
beside a ridge regression whose gray levels are set to the true ones; standard deviation over ten
samples of a template, relative to that of real membranes; Dice with template 1; error of the style
asked for. A `BlotGAN` has no style: its gray levels are set afterwards, as ridge's.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.blot_draws import draw_styles
from datamodules.blot_style import NAMES, measure_style, otsu
from datamodules.blots import BlotDataModule, BlotDataset
from datamodules.preprocessing import normalize_defects
from experiment.checkpoints import Checkpoint, read_checkpoint
from lit_models import BlotGAN, StyledBlotGAN
from lit_models.metrics.image_scores import blot_scores
from lit_models.networks import TorchvisionClassifier
from lit_models.networks.styled_blot_generator import known_styles

SAMPLES, TEMPLATES = 10, 20  # of a template; templates that are sampled so often


class HeldOut:
    """The held-out blots of a fold, and what they are compared with.

    Attributes:
        templates: in [0, 1], ``(N, 2, H, W)``.
        blots: real blots in [0, 1], ``(N, 1, H, W)``.
        groups: membrane of each blot.
        train: the other real blots, likewise.
        styles: measured on the blots, ``(N, 8)``.
        ridge: baseline with the true gray levels, in [0, 1].
        real_std: of mean gray and of contrast over one blot from each of ten membranes.
    """

    def __init__(self, data_dir: str, fold: int) -> None:
        data = BlotDataModule(data_dir, fold=fold)
        data.prepare_data()
        data.setup("fit")
        parts = (data.train_set.dataset, data.val_set.dataset)
        groups = [np.array([data.membranes[pair.stem] for pair in part.pairs]) for part in parts]
        (x, self.train), (self.templates, self.blots) = map(unit, parts)
        self.groups = groups[1]
        self.styles = styles_of(self.blots, self.templates)
        predicted = ridge(x, self.train, self.templates)
        self.ridge = set_levels(predicted, self.templates, self.styles)
        self.real_std = real_std(torch.cat([self.train, self.blots]), np.concatenate(groups))


def unit(blots: BlotDataset) -> tuple[Tensor, Tensor]:
    """Templates ``(N, 2, H, W)`` and targets ``(N, 1, H, W)`` in [0, 1]."""
    items = [blots[i] for i in range(len(blots))]
    templates, targets = (torch.stack([item[key] for item in items]) for key in ("image", "target"))
    return (templates + 1) / 2, (targets + 1) / 2


def ridge(train: Tensor, targets: Tensor, held_out: Tensor, penalty: float = 100.0) -> Tensor:
    """Each pixel from the 7x7 windows of both templates around it, by ridge regression."""

    def windows(templates: Tensor) -> Tensor:
        patches = F.unfold(F.pad(templates, [3] * 4, mode="replicate"), 7)
        return patches.transpose(1, 2).flatten(0, 1).double()

    model = Ridge(penalty).fit(windows(train), targets.flatten().double())
    predicted = torch.from_numpy(model.predict(windows(held_out)))
    return predicted.float().view(-1, 1, *held_out.shape[2:])


def embed(images: Tensor, features: nn.Module) -> Tensor:
    """Features ``(N, 512)``, in double precision, of images ``(N, 1, H, W)`` in [0, 1]."""
    x = normalize_defects(F.interpolate(images, size=(128, 128), mode="bilinear"))
    return torch.cat([features(part) for part in x.split(40)]).double()


def kid(real: Tensor, fake: Tensor) -> float:
    """Unbiased KID of two sets of features; no image is paired with itself or its own template."""
    n, size = real.shape
    xx, yy, xy = ((a @ b.T / size + 1) ** 3 for a, b in ((real, real), (fake, fake), (real, fake)))
    within = (xx + yy) * (1 - torch.eye(n))
    return float(within.sum() / (n * n - n) - 2 * xy.mean())


def score(fakes: Tensor, targets: Tensor, features: nn.Module) -> dict[str, float]:
    """L1, SSIM and 1000 KID of blots ``(N, 1, H, W)`` in [0, 1], rounded to 8 bits first."""
    fakes = (fakes.clamp(0, 1) * 255).round() / 255
    values = blot_scores(fakes * 2 - 1, targets * 2 - 1)
    found = {name: float(values[name.lower()].mean()) for name in ("L1", "SSIM")}
    return found | {"1000 KID": 1e3 * kid(embed(targets, features), embed(fakes, features))}


def gray(blots: Tensor) -> np.ndarray:
    """uint8 ``(N, H, W)`` from blots ``(N, 1, H, W)`` in [0, 1]."""
    return (blots[:, 0] * 255).round().byte().numpy()


def styles_of(blots: Tensor, templates: Tensor) -> np.ndarray:
    """Measured styles ``(N, 8)``."""
    pairs = zip(gray(blots), templates[:, 0].numpy() < 0.5, strict=True)
    return np.stack([measure_style(pixels, bands) for pixels, bands in pairs])


def set_levels(blots: Tensor, templates: Tensor, styles: np.ndarray) -> Tensor:
    """Map each blot's gray values linearly, so that paper and bands are those of ``styles``."""
    found = torch.from_numpy(styles_of(blots.clamp(0, 1), templates)[:, :2] / 255)
    wanted = torch.from_numpy(styles[:, :2] / 255)
    contrast = found[:, 0] - found[:, 1]
    contrast = torch.where(contrast.abs() > 1 / 255, contrast, 1.0)
    scale = ((wanted[:, 0] - wanted[:, 1]) / contrast)[:, None, None, None]
    moved = (blots - found[:, 1, None, None, None]) * scale + wanted[:, 1, None, None, None]
    return moved.clamp(0, 1)


def inputs(model: BlotGAN, templates: Tensor, styles: np.ndarray) -> list[Tensor]:
    """What generator and discriminator take."""
    style = [torch.from_numpy(styles)] if isinstance(model, StyledBlotGAN) else []
    return [templates * 2 - 1, *style]


@torch.no_grad()
def generate(model: BlotGAN, templates: Tensor, styles: np.ndarray, seed: int) -> Tensor:
    """Blots in [0, 1]."""
    torch.manual_seed(seed)
    parts = zip(*(x.split(40) for x in inputs(model, templates, styles)), strict=True)
    return (torch.cat([model(*part) for part in parts]) + 1) / 2


@torch.no_grad()
def called_real(model: BlotGAN, templates: Tensor, styles: np.ndarray, blots: Tensor) -> float:
    """Share of blots that the GAN's own discriminator takes for real."""
    logits = model.discriminator(*inputs(model, templates, styles), blots * 2 - 1)
    return float((logits.flatten(1).mean(1) > 0).float().mean())


def log_spectrum(blots: Tensor) -> np.ndarray:
    """Log power ``(N, H * (W / 2 + 1))``."""
    x = blots[:, 0].numpy()
    power = np.abs(np.fft.rfft2(x - x.mean((1, 2), keepdims=True))) ** 2
    return np.log(power + 1e-4).reshape(len(x), -1)


def cooccurrence(blots: Tensor, levels: int = 16) -> np.ndarray:
    """Statistics of neighboring gray levels: they show grain, clipping and compression."""
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


def detect(real: Tensor, fake: Tensor, features: nn.Module, groups: np.ndarray) -> dict[str, float]:
    """Accuracy of a logistic regression, cross-validated by membrane, by kind of features.

    The best of three penalties is taken, so that the detector is not a weak one.
    """
    scaled = {}
    for name, describe in {
        "spectrum": log_spectrum,
        "co-occurrence": cooccurrence,
        "ResNet": lambda blots: embed(blots, features).numpy(),
    }.items():
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
    found, bands = np.stack([otsu(pixels) for pixels in gray(blots)]), templates[:, 0].numpy() < 0.5
    sizes = found.sum((1, 2)) + bands.sum((1, 2))
    return float(np.mean(2 * (found & bands).sum((1, 2)) / np.maximum(sizes, 1)))


def std(blots: Tensor) -> np.ndarray:
    """Standard deviations of mean gray and of contrast over blots."""
    x = gray(blots).astype(float)
    return np.array([v.std(ddof=1) for v in (x.mean((1, 2)), x.std((1, 2)))])


def real_std(blots: Tensor, groups: np.ndarray) -> np.ndarray:
    """`std` of a blot from each of ten membranes, the mean of 200 choices."""
    rng, names, found = np.random.default_rng(0), np.unique(groups), []
    for _ in range(200):
        some = rng.permutation(names)[:SAMPLES]
        found.append(std(blots[[rng.choice(np.flatnonzero(groups == name)) for name in some]]))
    return np.mean(found, axis=0)


def sampled_styles(model: BlotGAN, count: int, seed: list[int]) -> np.ndarray:
    """Styles ``(N, 8)`` as the training blots have them; zeros for a GAN that takes none."""
    if not isinstance(model, StyledBlotGAN):
        return np.zeros((count, 8), np.float32)
    known = known_styles(model.style_bank)
    return draw_styles(known[:, 1:], known[:, 0], count, seed)


def diversity(model: BlotGAN, data: HeldOut) -> np.ndarray:
    """`std` of ten samples of a template, relative to that of real membranes."""
    found = []
    for i in np.random.default_rng(0).permutation(len(data.templates))[:TEMPLATES]:
        templates = data.templates[i : i + 1].expand(SAMPLES, -1, -1, -1)
        blots = generate(model, templates, sampled_styles(model, SAMPLES, [2, i]), 0)
        found.append(std(blots.clamp(0, 1)))
    return np.mean(found, axis=0) / data.real_std


def measures(trained: Checkpoint, data: HeldOut, features: nn.Module) -> dict[str, float]:
    """All scores of a checkpoint, by name."""
    kind = {"BlotGAN": BlotGAN, "StyledBlotGAN": StyledBlotGAN}[trained.method]
    model = kind.load_from_checkpoint(trained.path, map_location="cpu").eval()
    styled = isinstance(model, StyledBlotGAN)
    true = generate(model, data.templates, data.styles, 0)
    true = true if styled else set_levels(true, data.templates, data.styles)
    real_features, kids, fooled = embed(data.blots, features), [], []
    for seed in range(3):
        styles = sampled_styles(model, len(data.templates), [seed])
        sampled = generate(model, data.templates, styles, seed).clamp(0, 1)
        kids.append(kid(real_features, embed(sampled, features)))
        fooled.append(called_real(model, data.templates, styles, sampled))
    found = {"1000 KID, sampled style": 1e3 * float(np.mean(kids))}
    found |= detect(data.blots, sampled, features, data.groups)
    found["D right about generated, %"] = 100 * (1 - float(np.mean(fooled)))
    real = called_real(model, data.templates, data.styles, data.blots)
    found["D right about real, %"] = 100 * real
    for name, blots in (("true style", true), ("ridge, true levels", data.ridge)):
        found |= {f"{k}, {name}": v for k, v in score(blots, data.blots, features).items()}
    stds = ("sd of mean gray / real", "sd of contrast / real")
    found |= dict(zip(stds, diversity(model, data).tolist(), strict=True))
    for name, blots in (("sampled", sampled), ("real", data.blots)):
        found[f"Dice, {name}"] = dice(blots, data.templates)
    off = np.median(np.abs(styles_of(sampled, data.templates) - styles), axis=0).tolist()
    rows = zip(NAMES, off, strict=True) if styled else ()
    return found | {f"median off, {name}": value for name, value in rows}


def main() -> None:
    """Print a table in Markdown: rows are measures, columns checkpoints and their mean."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoints", type=Path, nargs="+", help="all of one method")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--kid_weights", default="random", help="ResNet-18 state dict")
    options = parser.parse_args()
    network = TorchvisionClassifier(1000, "resnet18", options.kid_weights)
    network.load_pretrained()
    held_out, columns = dict[int, HeldOut](), {}
    for path in options.checkpoints:
        trained = read_checkpoint(path)
        fold = trained.data["fold"]
        if fold not in held_out:
            held_out[fold] = HeldOut(options.data_dir, fold)
        name = f"{path.parent.parent.name}, fold {fold}"
        columns[name] = measures(trained, held_out[fold], network.backbone)
    print("| measure |", " | ".join(columns), "| mean |")
    print("|---|" + "---|" * (len(columns) + 1))
    for name in next(iter(columns.values())):
        values = [found[name] for found in columns.values()]
        print(f"| {name} |", " | ".join(f"{v:.4g}" for v in [*values, np.mean(values)]), "|")


if __name__ == "__main__":
    main()
