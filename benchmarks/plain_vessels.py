"""The vessel reference method as a plain PyTorch loop: the peer of configs/vessels.yaml.

python benchmarks/plain_vessels.py --data_dir ../shared/data/DRIVE --epochs 1

Float32, default memory format, a DataLoader without workers. Split and validation images are those
of the config, and Dice is pooled over all pixels at the native size. Prints one line of JSON.
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
from torchmetrics.classification import BinaryF1Score

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.drive import training_split
from datamodules.drive_segmentation import FundusDataset
from datamodules.fundus_batches import collate
from datamodules.fundus_input import FundusInput
from lit_models.losses import FocalTverskyLoss
from lit_models.networks import UNet


def main() -> None:
    """Train, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--steps", type=int, help="in an epoch, instead of all images")
    options = parser.parse_args()
    torch.manual_seed(42)

    split = training_split(options.data_dir, val_size=4, seed=42)
    train, val = (FundusDataset(files, FundusInput()) for files in split)
    train_loader = DataLoader(train, batch_size=1, shuffle=True, collate_fn=collate)
    val_loader = DataLoader(val, batch_size=1, collate_fn=collate)

    model = UNet()
    criterion = FocalTverskyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.5, patience=5)

    epoch_seconds, step_seconds, scores, dice = [], [], [], BinaryF1Score()
    for _ in range(options.epochs):
        start = last = time.perf_counter()
        model.train()
        for batch in islice(train_loader, options.steps):
            optimizer.zero_grad()
            criterion(model(batch["image"]), batch["target"]).backward()
            optimizer.step()
            step_seconds.append(time.perf_counter() - last)
            last = time.perf_counter()
        model.eval()
        val_loss = 0.0
        dice.reset()
        with torch.no_grad():
            for batch in val_loader:
                logits = model(batch["image"])
                val_loss += float(criterion(logits, batch["target"])) / len(val)
                truth = batch["native_target"][0][None].int()
                probability = F.interpolate(
                    logits.sigmoid(), truth.shape[-2:], mode="bilinear", antialias=True
                )
                dice.update(probability, truth)
        scheduler.step(val_loss)
        scores.append(float(dice.compute()))
        epoch_seconds.append(time.perf_counter() - start)
    record = {"epoch_seconds": epoch_seconds, "step_seconds": step_seconds, "scores": scores}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
