"""How hard the drawn AOI sample is: logistic regression on raw pixels and on backbone features.

python benchmarks/aoi_sample_difficulty.py [--weights resnet18.pth]

Needs the extra ``bench``. Accuracy on 25 % of the drawn training images, stratified, held out.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.aoi_files import read_table
from datamodules.images import read_image
from datamodules.preprocessing import normalize_defects, resize_square
from datamodules.synthetic.aoi import draw_sample
from lit_models.networks import TorchvisionClassifier


def score(features: np.ndarray, labels: np.ndarray, strength: float) -> float:
    """Held-out accuracy of logistic regression with regularization ``C = strength``."""
    parts = train_test_split(features, labels, test_size=0.25, stratify=labels, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
    return model.fit(parts[0], parts[2]).score(parts[1], parts[3])


def main() -> None:
    """Print one line for each kind of features."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="ResNet-18 state dict, torchvision's name or file")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        draw_sample(Path(folder), seed=0)
        names, targets = read_table(Path(folder, "train.csv"), 6, labeled=True)
        images = torch.stack(
            [read_image(Path(folder, "train_images", name), "L") for name in names]
        )
    labels = targets.numpy()
    kinds = {
        f"raw pixels, {side}x{side}": resize_square(images, side).flatten(1).numpy()
        for side in (32, 64)
    }
    for name in ("random", args.weights):
        if name is None:
            continue
        torch.manual_seed(0)
        network = TorchvisionClassifier(6, weights=name).eval()
        network.load_pretrained()
        with torch.inference_mode():
            features = [
                network.features(normalize_defects(resize_square(batch, 224)))
                for batch in images.split(32)
            ]
        kinds[f"ResNet-18 features, {Path(name).name}"] = torch.cat(features).numpy()
    print(
        f"{len(labels)} images; the largest class is {np.bincount(labels).max() / len(labels):.3f}"
    )
    for kind, features in kinds.items():
        best = max(score(features.astype(np.float64), labels, c) for c in (1e-3, 1e-2, 1e-1))
        print(f"{kind}: {best:.3f}")


if __name__ == "__main__":
    main()
