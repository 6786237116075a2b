"""What fine-tuning other torchvision networks costs, by a few steps of `configs/aoi_best.yaml`.

    python benchmarks/aoi_backbones.py [resnet18 convnext_tiny ...]

Each network in a process of its own, with random weights, in float32 on one core of the CPU:
forward, backward and AdamW's step on a batch of ``--batch_size`` at ``--image_size``. Seconds are
of the processor, so that other programs do not count, and the median of ``--steps`` after a first
one. The last columns extrapolate to ``--images`` training images in ``--epochs``, without
augmentation and validation. Random weights say nothing about accuracy. Prints Markdown.
"""

import argparse
import multiprocessing
import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent))
from clock import peak_memory

from lit_models.networks import TorchvisionClassifier

NETWORKS = ["resnet18", "convnext_tiny", "efficientnet_v2_s", "vit_b_16"]
CLASSES = 6


def measured(name: str, side: int, batch: int, steps: int) -> tuple[int, float, float]:
    """Parameters, seconds a step and the process's largest resident set in GiB."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = TorchvisionClassifier(CLASSES, name, "random", frozen=False).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0003)
    images, targets = torch.randn(batch, 3, side, side), torch.randint(CLASSES, (batch,))
    seconds = []
    for _ in range(1 + steps):
        start = time.process_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), targets).backward()
        optimizer.step()
        seconds.append(time.process_time() - start)
    return sum(p.numel() for p in network.parameters()), median(seconds[1:]), peak_memory()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--images", type=int, default=2149, help="85 %% of AOI's 2,528")
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    steps = options.epochs * options.images / options.batch_size
    print("| network | parameters | seconds a step | peak memory | an epoch | all epochs |")
    print("|---|---|---|---|---|---|")
    for name in options.networks:
        task = (name, options.image_size, options.batch_size, options.steps)
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            parameters, seconds, peak = alone.apply(measured, task)
        whole = steps * seconds / 3600
        print(
            f"| `{name}` | {parameters / 1e6:.1f} M | {seconds:.1f} | {peak:.1f} GiB "
            f"| {60 * whole / options.epochs:.0f} min | {whole:.1f} h |",
            flush=True,
        )


if __name__ == "__main__":
    main()
