"""The reconstruction reference method as a plain PyTorch loop: the peer of configs/retina.yaml.

python benchmarks/plain_retina.py --data_dir ../shared/data/DRIVE --epochs 2

Float32, default memory format, a DataLoader without workers. Split and validation images are those
of the config. Prints one line of JSON.
"""

import argparse
import json
import sys
import time
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchmetrics.functional.image import peak_signal_noise_ratio

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.drive import training_split
from datamodules.drive_reconstruction import PhotographDataset
from lit_models.networks import AutoEncoder


def main() -> None:
    """Train, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--steps", type=int, help="in an epoch, instead of all images")
    options = parser.parse_args()
    torch.manual_seed(42)

    split = training_split(options.data_dir, val_size=4, seed=42)
    train, val = (PhotographDataset(files, 512) for files in split)
    train_loader = DataLoader(train, batch_size=1, shuffle=True)
    val_loader = DataLoader(val, batch_size=1)

    model = AutoEncoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    epoch_seconds, step_seconds, scores = [], [], []
    for _ in range(options.epochs):
        start = last = time.perf_counter()
        model.train()
        for batch in islice(train_loader, options.steps):
            optimizer.zero_grad()
            F.mse_loss(model(batch["image"]), batch["image"]).backward()
            optimizer.step()
            step_seconds.append(time.perf_counter() - last)
            last = time.perf_counter()
        model.eval()
        psnr = 0.0
        with torch.no_grad():
            for batch in val_loader:
                copy, truth = ((x + 1) / 2 for x in (model(batch["image"]), batch["image"]))
                psnr += float(peak_signal_noise_ratio(copy.clamp(0, 1), truth, 1.0)) / len(val)
        scores.append(psnr)
        epoch_seconds.append(time.perf_counter() - start)
    record = {"epoch_seconds": epoch_seconds, "step_seconds": step_seconds, "scores": scores}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
