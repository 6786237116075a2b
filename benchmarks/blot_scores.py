"""How near generated blots are to the real ones of membranes that were held out."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from datamodules.blot_files import read_groups
from datamodules.blots import BlotDataModule, BlotDataset
from lit_models.metrics.blot_scores import image_metrics
from lit_models.metrics.kid import BlotKID


@dataclass
class Scores:
    """Mean over images, and KID with the 95 % interval of a bootstrap over membranes."""

    l1: float
    psnr: float
    ssim: float
    kid: float
    kid_low: float
    kid_high: float

    def __str__(self) -> str:
        interval = f"{1e3 * self.kid_low:.0f} to {1e3 * self.kid_high:.0f}"
        return (
            f"{self.l1:.4f} | {self.psnr:.2f} | {self.ssim:.4f} | {1e3 * self.kid:.1f} ({interval})"
        )


def score(fakes: Tensor, targets: Tensor, groups: list[str], features: BlotKID) -> Scores:
    """Scores of blots ``(N, 1, H, W)`` in [0, 1], rounded to 8 bits first."""
    fakes = (fakes.clamp(0, 1) * 255).round() / 255
    metrics = image_metrics()
    for part in torch.arange(len(fakes)).split(40):
        for metric in metrics.values():
            metric.update(fakes[part], targets[part])
    values = {name: float(metric.compute()) for name, metric in metrics.items()}
    kid, low, high = kid_interval(*(embed(images, features) for images in (targets, fakes)), groups)
    return Scores(**values, kid=kid, kid_low=low, kid_high=high)


def embed(images: Tensor, features: BlotKID) -> Tensor:
    """Features ``(N, 512)`` in double precision."""
    return torch.cat([features.inception(part) for part in images.split(40)]).double()


def kid_interval(
    real: Tensor, fake: Tensor, groups: list[str], draws: int = 1000
) -> tuple[float, float, float]:
    """KID of two sets of features, and its 2.5 and 97.5 % points over resampled membranes.

    A membrane drawn twice counts twice, but no image is ever paired with itself: the estimate stays
    unbiased in each draw. ``groups`` belong to ``real`` and ``fake`` alike.
    """
    size = real.shape[1]
    xx, yy, xy = ((a @ b.T / size + 1) ** 3 for a, b in ((real, real), (fake, fake), (real, fake)))
    within = (xx + yy) * (1 - torch.eye(len(real)))
    names, member = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng(0)

    def estimate(count: np.ndarray) -> float:
        w = torch.from_numpy(count[member].astype(float))
        pairs = w.sum() ** 2 - (w**2).sum()
        return float(w @ within @ w / pairs - 2 * (w @ xy @ w) / w.sum() ** 2)

    resampled = [
        estimate(np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names)))
        for _ in range(draws)
    ]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return estimate(np.ones(len(names))), float(low), float(high)


def fold_of(data_dir: str, fold: int) -> tuple[BlotDataset, BlotDataset]:
    """Training and held-out blots of a fold of ``configs/blots.yaml``'s split."""
    data = BlotDataModule(data_dir, fold=fold)
    data.prepare_data()
    data.setup("fit")
    return data.train_set.dataset, data.val_set.dataset


def membranes(data_dir: str, blots: BlotDataset) -> list[str]:
    """Membrane of each blot."""
    data = BlotDataModule(data_dir)
    return read_groups(data.folder / "groups.csv", [triple.stem for triple in blots.triples])


def unit(blots: BlotDataset) -> tuple[Tensor, Tensor]:
    """Templates ``(N, 2, H, W)`` and targets ``(N, 1, H, W)`` in [0, 1]."""
    items = [blots[i] for i in range(len(blots))]
    templates, targets = (torch.stack([item[key] for item in items]) for key in ("image", "target"))
    return (templates + 1) / 2, (targets + 1) / 2
