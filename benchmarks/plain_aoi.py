"""The AOI reference method as a plain PyTorch loop: the peer of configs/aoi.yaml.

python benchmarks/plain_aoi.py --data_dir ../shared/data/NEU --weights <ResNet-18 state dict>

Float32, default memory format, a DataLoader without workers, every image through the whole network
in every epoch. Split and validation images are those of the config. Prints one line of JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.aoi_files import read_table, stratified_split
from datamodules.images import read_image
from datamodules.preprocessing import MEAN, STD


class Images(Dataset):
    """``(image, label)``: float32 ``(3, 224, 224)``, normalized."""

    def __init__(self, rows: list[tuple[Path, int]]) -> None:
        self.rows = rows
        self.transform = v2.Compose(
            [
                v2.Resize((224, 224), antialias=True),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path, label = self.rows[index]
        return self.transform(read_image(path, "RGB")), label


def main() -> None:
    """Train, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.manual_seed(42)

    names, labels = read_table(options.data_dir / "train.csv", 6, labeled=True)
    paths = [options.data_dir / "train_images" / name for name in names]
    rows = list(zip(paths, labels.tolist(), strict=True))
    parts = stratified_split(labels, 0.15, seed=0)
    train, val = (Images([rows[i] for i in part]) for part in parts)
    train_loader = DataLoader(train, batch_size=32, shuffle=True)
    val_loader = DataLoader(val, batch_size=32)

    model = resnet18()
    model.load_state_dict(torch.load(options.weights, weights_only=True))
    model.requires_grad_(False)
    model.fc = nn.Linear(512, 6)
    model.eval()  # frozen BatchNorm statistics; nothing else in it depends on the mode
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()

    epoch_seconds, scores = [], []
    for _ in range(options.epochs):
        start = time.perf_counter()
        for images, labels in train_loader:
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        right = 0
        with torch.no_grad():
            for images, labels in val_loader:
                right += int((model(images).argmax(1) == labels).sum())
        scores.append(right / len(val))
        epoch_seconds.append(time.perf_counter() - start)
    print(json.dumps({"epoch_seconds": epoch_seconds, "scores": scores}))


if __name__ == "__main__":
    main()
