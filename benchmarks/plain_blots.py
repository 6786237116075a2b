"""The blot reference method as a plain PyTorch loop: the peer of configs/blots.yaml.

python benchmarks/plain_blots.py --data_dir ../shared/data/blots --epochs 3

Float32, default memory format, a DataLoader without workers. Fold and held-out blots are those of
the config. ``--shipped`` takes the settings that ``cli.py`` picks for this hardware (precision,
memory format, kept memory, fused Adam) and does no more work than it does (files read once, no
gradients of D in G's step): what is left between the two is Lightning. Prints one line of JSON.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchmetrics.functional.image import structural_similarity_index_measure

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.blots import BlotDataModule
from lit_models.networks import ReferenceDiscriminator, ReferenceGenerator

# As a script without Lightning has it: importing that makes each optimizer step look for NVML.
os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)


def main() -> None:
    """Train, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--shipped", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(42)

    data = BlotDataModule(options.data_dir)
    data.setup("fit")
    train_set = data.train_set if options.shipped else data.train_set.dataset  # reads each time
    train_loader = DataLoader(train_set, batch_size=1, shuffle=True)
    val_loader = DataLoader(data.val_set, batch_size=32)

    generator, discriminator = ReferenceGenerator(), ReferenceDiscriminator()
    bf16 = False
    if options.shipped:
        from experiment.hardware import (
            FORMATS,
            keep_freed_memory,
            native_memory_format,
            native_precision,
        )

        keep_freed_memory()
        bf16 = native_precision("cpu") == "bf16-mixed"
        layout = FORMATS[native_memory_format(torch.device("cpu"))]
        generator.to(memory_format=layout)
        discriminator.to(memory_format=layout)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(network.parameters(), lr=2e-4, fused=options.shipped or None)
        for network in (generator, discriminator)
    )
    criterion = nn.BCEWithLogitsLoss()
    real_label, fake_label = torch.ones(1, 1), torch.zeros(1, 1)

    epoch_seconds, step_seconds, scores = [], [], []
    for _ in range(options.epochs):
        start = last = time.perf_counter()
        generator.train()
        for batch in train_loader:
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
            step_seconds.append(time.perf_counter() - last)
            last = time.perf_counter()
        generator.eval()
        ssim = 0.0
        with torch.no_grad():
            for batch in val_loader:
                targets = batch["target"]
                pair = ((x + 1) / 2 for x in (generator(batch["image"]), targets))
                value = structural_similarity_index_measure(
                    *pair, gaussian_kernel=False, kernel_size=7, data_range=1.0
                )
                ssim += float(value) * len(targets) / len(data.val_set)
        scores.append(ssim)
        epoch_seconds.append(time.perf_counter() - start)
    record = {"epoch_seconds": epoch_seconds, "step_seconds": step_seconds, "scores": scores}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
