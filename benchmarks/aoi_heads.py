"""Heads on frozen features, and how many labels they need.

    python benchmarks/aoi_heads.py --data_dir ../shared/data/NEU \\
        --weights ../shared/data/weights/resnet18_imagenet_pq.pth

Features of `configs/aoi.yaml` (a frozen ResNet-18 at ``--image_size``), computed once. The heads:
the config's own (Adam at 0.001, batches of 32, 10 epochs; and 300 steps whatever the number of
images), that of `configs/aoi_probe.yaml` (Adam at 0.003, 50 epochs), logistic regression by L-BFGS
(scikit-learn, C = 1) on the features as they are, standardized and of unit length (a cosine head),
and linear discriminant analysis with Ledoit-Wolf shrinkage. First by five stratified folds of all
images, then from 5, 10 and 20 images a class, five draws, scored on the rest. Prints Markdown: mean
and standard deviation of the accuracy.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules import AOIDataModule
from lit_models.networks import TorchvisionClassifier

Array = np.ndarray
FOLDS, DRAWS, SEED = 5, 5, 0


class AdamHead:
    """The head of `configs/aoi.yaml`, for ``epochs`` or at least ``steps``."""

    def __init__(self, epochs: int = 10, steps: int = 0, lr: float = 0.001) -> None:
        self.epochs, self.steps, self.lr = epochs, steps, lr

    def fit(self, features: Array, targets: Array) -> "AdamHead":
        """Train a linear layer on features ``(N, D)`` with classes ``(N,)``."""
        torch.manual_seed(SEED)
        x, y = torch.from_numpy(features).float(), torch.from_numpy(targets)
        self.head = nn.Linear(x.shape[1], int(y.max()) + 1)
        optimizer, taken, epoch = torch.optim.Adam(self.head.parameters(), lr=self.lr), 0, 0
        while epoch < self.epochs or taken < self.steps:
            for batch in torch.randperm(len(x)).split(32):
                optimizer.zero_grad()
                nn.functional.cross_entropy(self.head(x[batch]), y[batch]).backward()
                optimizer.step()
                taken += 1
            epoch += 1
        return self

    def predict(self, features: Array) -> Array:
        """Classes ``(N,)``."""
        with torch.no_grad():
            return self.head(torch.from_numpy(features).float()).argmax(dim=1).numpy()


def _logistic(strength: float = 1.0) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=2000)


HEADS: dict[str, Callable[[], object]] = {
    "Adam, 10 epochs (`aoi.yaml`)": AdamHead,
    "Adam, at least 300 steps": lambda: AdamHead(steps=300),
    "Adam at 0.003, 50 epochs (`aoi_probe.yaml`)": lambda: AdamHead(epochs=50, lr=0.003),
    "logistic regression": _logistic,
    "the same, standardized features": lambda: make_pipeline(StandardScaler(), _logistic()),
    "cosine: unit length, C = 100": lambda: make_pipeline(Normalizer(), _logistic(100)),
    "linear discriminant analysis": lambda: LinearDiscriminantAnalysis("lsqr", shrinkage="auto"),
}


@torch.no_grad()
def frozen_features(data: AOIDataModule, weights: str) -> tuple[Array, Array]:
    """Features float32 ``(N, D)`` and classes ``(N,)`` of all labeled images."""
    network = TorchvisionClassifier(len(data.class_names), weights=weights).eval()
    network.load_pretrained()
    found: list[tuple[Tensor, Tensor]] = []
    for loader in (data.eval_loader(data.train_set), data.eval_loader(data.val_set)):
        for batch in loader:
            images = data.on_after_batch_transfer(batch, 0)["image"]
            found.append((network.features(images), batch["target"]))
    features, targets = (torch.cat(column).numpy() for column in zip(*found, strict=True))
    return features, targets


def accuracies(head: Callable[[], object], features: Array, targets: Array, splits: list) -> Array:
    """Accuracy of each of the splits ``(training, rest)``."""
    values = []
    for train, rest in splits:
        fitted = head().fit(features[train], targets[train])  # type: ignore[attr-defined]
        values.append(np.mean(fitted.predict(features[rest]) == targets[rest]))
    return np.array(values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--weights", default="IMAGENET1K_V1")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--labels", type=int, nargs="*", default=[5, 10, 20])
    options = parser.parse_args()
    with (options.data_dir / "train.csv").open(encoding="utf-8") as file:
        classes = len({line.strip().rpartition(",")[2] for line in file.readlines()[1:]})
    names = [str(number) for number in range(classes)]
    data = AOIDataModule(
        str(options.data_dir), class_names=names, image_size=options.image_size, num_workers=0
    )
    data.setup("fit")
    features, targets = frozen_features(data, options.weights)
    kept = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    splits = {f"{FOLDS} folds": list(kept.split(features, targets))}
    for count in options.labels:
        draw = StratifiedShuffleSplit(DRAWS, train_size=count * classes, random_state=SEED)
        splits[f"{count} a class"] = list(draw.split(features, targets))
    print(f"{len(targets)} images at {options.image_size} px, {features.shape[1]} features\n")
    print("| head |" + "".join(f" {name} |" for name in splits))
    print("|---" * (1 + len(splits)) + "|")
    for name, head in HEADS.items():
        cells = [accuracies(head, features, targets, split) for split in splits.values()]
        shown = " | ".join(f"{c.mean():.2%} +- {c.std(ddof=1):.2%}" for c in cells)
        print(f"| {name} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
