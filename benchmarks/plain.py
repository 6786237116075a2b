"""The reference methods as plain PyTorch loops: peers of configs/{aoi,vessels,retina,blots}.yaml.

python benchmarks/plain.py vessels --data_dir ../shared/data/DRIVE --epochs 1
python benchmarks/plain.py aoi --data_dir ../shared/data/NEU --weights <ResNet-18 state dict>

Float32, default memory format, a DataLoader without workers; every image through the whole network
in every epoch. Split and validation images are those of the config. Prints one line of JSON.

``blots --shipped`` takes the settings that ``cli.py`` picks for this hardware (precision, memory
format, kept memory, Adam) and does no more work than it does (files read once, no gradients of D in
G's step): the difference that is left is Lightning's.
"""

import argparse
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import BinaryF1Score
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)
from torchvision.models import resnet18
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.aoi_files import stratified_split
from datamodules.blots import BlotDataModule
from datamodules.drive import FundusDataset
from datamodules.fundus_files import FundusFiles, training_split
from datamodules.fundus_input import FundusInput, collate
from datamodules.images import read_image
from datamodules.label_tables import read_table
from datamodules.preprocessing import MEAN, STD, photograph_input
from lit_models.losses import FocalTverskyLoss
from lit_models.networks import AutoEncoder, ReferenceDiscriminator, ReferenceGenerator, UNet

# As a script without Lightning has it: importing that makes each optimizer step look for NVML.
os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

# Module to train, training batches, a training step, and the score of the validation images.
Task = tuple[nn.Module, DataLoader, Callable[[Any], None], Callable[[], float]]


def aoi(options: Namespace) -> Task:
    """Frozen ResNet-18 with a linear head; accuracy."""
    table = read_table(options.data_dir / "train.csv")
    targets = torch.tensor([int(row.label) for row in table])
    to_input = v2.Compose(
        [v2.Resize((224, 224)), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    )

    paths = [options.data_dir / "train_images" / row.name for row in table]

    def collated(rows: list[int]) -> tuple[Tensor, Tensor]:
        return torch.stack([to_input(read_image(paths[i], "RGB")) for i in rows]), targets[rows]

    parts = (part.tolist() for part in stratified_split(targets, 0.15, seed=0))
    train, val = (
        DataLoader(part, batch_size=32, shuffle=shuffle, collate_fn=collated)
        for part, shuffle in zip(parts, (True, False), strict=True)
    )
    model = resnet18()
    model.load_state_dict(torch.load(options.weights, weights_only=True))
    model.requires_grad_(False)
    model.fc = nn.Linear(512, 6)
    model.train = lambda mode=True: nn.Module.train(model, False)  # frozen BatchNorm statistics
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=1e-3)

    def step(batch: tuple[Tensor, Tensor]) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()

    def score() -> float:
        right = [model(x).argmax(1) == y for x, y in val]
        return float(torch.cat(right).float().mean())

    return model, train, step, score


def vessels(options: Namespace) -> Task:
    """U-Net with focal Tversky loss; Dice pooled over all pixels at the native size."""
    split = training_split(options.data_dir, val_size=4, seed=42)
    train, val = (FundusDataset(files, FundusInput().read) for files in split)
    val_loader = DataLoader(val, batch_size=1, collate_fn=collate)
    model, criterion, dice = UNet(), FocalTverskyLoss(), BinaryF1Score()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.5, patience=5)

    def step(batch: dict[str, Tensor]) -> None:
        optimizer.zero_grad()
        criterion(model(batch["image"]), batch["target"]).backward()
        optimizer.step()

    def score() -> float:
        loss = 0.0
        dice.reset()
        for batch in val_loader:
            logits = model(batch["image"])
            loss += float(criterion(logits, batch["target"])) / len(val)
            truth = batch["native_target"][0][None].int()
            size = truth.shape[-2:]
            probability = F.interpolate(logits.sigmoid(), size, mode="bilinear", antialias=True)
            dice.update(probability, truth)
        scheduler.step(loss)
        return float(dice.compute())

    return model, DataLoader(train, batch_size=1, shuffle=True, collate_fn=collate), step, score


def retina(options: Namespace) -> Task:
    """Autoencoder with MSE; PSNR."""
    split = training_split(options.data_dir, val_size=4, seed=42)

    def read(one: FundusFiles) -> dict[str, Tensor]:
        return {"image": photograph_input(read_image(one.image, "RGB"), 512)}

    train, val = (FundusDataset(files, read) for files in split)
    val_loader = DataLoader(val, batch_size=1)
    model = AutoEncoder()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(batch: dict[str, Tensor]) -> None:
        optimizer.zero_grad()
        F.mse_loss(model(batch["image"]), batch["image"]).backward()
        optimizer.step()

    def score() -> float:
        psnr = 0.0
        for batch in val_loader:
            copy, truth = ((x + 1) / 2 for x in (model(batch["image"]), batch["image"]))
            psnr += float(peak_signal_noise_ratio(copy.clamp(0, 1), truth, 1.0)) / len(val)
        return psnr

    return model, DataLoader(train, batch_size=1, shuffle=True), step, score


def blots(options: Namespace) -> Task:
    """pix2pix GAN with the BCE loss; SSIM of the held-out blots."""
    data = BlotDataModule(str(options.data_dir))
    data.setup("fit")
    train_set = data.train_set if options.shipped else data.train_set.dataset  # reads each time
    val_loader = DataLoader(data.val_set, batch_size=32)
    generator, discriminator = ReferenceGenerator(), ReferenceDiscriminator()
    bf16 = False
    if options.shipped:
        from experiment import hardware

        hardware.tune_process()
        bf16 = hardware.native_precision("cpu") == "bf16-mixed"
        layout = hardware.native_memory_format(torch.device("cpu"))
        generator.to(memory_format=layout)
        discriminator.to(memory_format=layout)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), lr=2e-4, fused=options.shipped or None)
        for network in (generator, discriminator)
    )
    criterion = nn.BCEWithLogitsLoss()
    real_label, fake_label = torch.ones(1, 1), torch.zeros(1, 1)

    def step(batch: dict[str, Tensor]) -> None:
        templates, target = batch["image"], batch["target"]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            fake = generator(templates)
            real_logit = discriminator(templates, target)
            fake_logit = discriminator(templates, fake.detach())
            d_loss = criterion(real_logit, real_label) + criterion(fake_logit, fake_label)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()

        discriminator.requires_grad_(not options.shipped)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            g_loss = criterion(discriminator(templates, fake), real_label)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        discriminator.requires_grad_(True)

    def score() -> float:
        ssim = 0.0
        for batch in val_loader:
            pair = ((x + 1) / 2 for x in (generator(batch["image"]), batch["target"]))
            value = structural_similarity_index_measure(
                *pair, gaussian_kernel=False, kernel_size=7, data_range=1.0
            )
            ssim += float(value) * len(batch["target"]) / len(data.val_set)
        return ssim

    return generator, DataLoader(train_set, batch_size=1, shuffle=True), step, score


def main() -> None:
    """Train, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    tasks = {"aoi": aoi, "vessels": vessels, "retina": retina, "blots": blots}
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="ResNet-18 state dict, for aoi")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, help="in an epoch, instead of all images")
    parser.add_argument("--shipped", action="store_true", help="for blots")
    options = parser.parse_args()
    torch.manual_seed(42)
    model, loader, step, score = tasks[options.task](options)
    record: dict[str, list[float]] = {"epoch_seconds": [], "step_seconds": [], "scores": []}
    for _ in range(options.epochs):
        start = last = time.perf_counter()
        model.train()
        for batch in islice(loader, options.steps):
            step(batch)
            record["step_seconds"].append(time.perf_counter() - last)
            last = time.perf_counter()
        model.eval()
        with torch.no_grad():
            record["scores"].append(score())
        record["epoch_seconds"].append(time.perf_counter() - start)
    print(json.dumps(record))


if __name__ == "__main__":
    main()
