"""A blot config on membranes held out of training: folds, seeds, mean and standard deviation.

python benchmarks/blot_folds.py --config configs/blots.yaml --data_dir ../shared/data/blots \
    --folds 0 --seeds 0 1 2 --kid_weights <ResNet-18 state dict>

A run that is there already, finished, in ``--root`` is scored and not trained again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from blot_scores import Scores, fold_of, membranes, score, unit

from lit_models import BlotGAN
from lit_models.metrics.kid import BlotKID


def train(config: str, data_dir: str, fold: int, seed: int, root: str, more: list[str]) -> Path:
    """Folder of the finished run."""
    name = f"{Path(config).stem}-fold{fold}-seed{seed}"
    folder = Path(root) / Path(config).stem / name
    record = folder / "run.json"
    if not record.exists() or json.loads(record.read_text())["status"] != "finished":
        options = {
            "config": config,
            "data.data_dir": data_dir,
            "data.fold": fold,
            "seed_everything": seed,
            "run.root": root,
            "run.name": name,
            "run.wandb": "disabled",
            "trainer.enable_progress_bar": "false",
        }
        arguments = [f"--{key}={value}" for key, value in options.items()]
        subprocess.run([sys.executable, "cli.py", "fit", *arguments, *more], check=True)
    return folder


@torch.no_grad()
def generate(folder: Path, data_dir: str, fold: int) -> tuple[torch.Tensor, float, float]:
    """Held-out blots in [0, 1] of the last epoch, and D's accuracy on real and on generated."""
    model = BlotGAN.load_from_checkpoint(folder / "checkpoints" / "last.ckpt", map_location="cpu")
    model.eval()
    torch.manual_seed(0)
    _, held_out = fold_of(data_dir, fold)
    templates, targets = (x * 2 - 1 for x in unit(held_out))
    fakes = torch.cat([model(part) for part in templates.split(40)])
    right = [
        ((model.discriminator(templates, blots).flatten(1).mean(1) > 0) == real).float().mean()
        for blots, real in ((targets, True), (fakes, False))
    ]
    return (fakes + 1) / 2, float(right[0]), float(right[1])


def main() -> None:
    """Train what is missing, then print one line of Markdown for each run, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="configs/blots.yaml")
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--root", default="runs")
    parser.add_argument("--kid_weights")
    options, more = parser.parse_known_args()
    features = BlotKID(options.kid_weights)
    table: list[tuple[Scores, float, float]] = []
    header = f"| fold | seed | L1 | PSNR | SSIM | 1000 {features.name} (95 %) "
    print(f"{header}| D right: real | fake | minutes |")
    for fold in options.folds:
        for seed in options.seeds:
            where = options.config, options.data_dir, fold, seed, options.root, more
            folder = train(*where)
            fakes, real, fake = generate(folder, options.data_dir, fold)
            _, held_out = fold_of(options.data_dir, fold)
            groups = membranes(options.data_dir, held_out)
            scores = score(fakes, unit(held_out)[1], groups, features)
            table.append((scores, real, fake))
            minutes = json.loads((folder / "run.json").read_text())["minutes"]
            print(f"| {fold} | {seed} | {scores} | {real:.2f} | {fake:.2f} | {minutes} |")
    for name in ("l1", "psnr", "ssim", "kid"):
        values = [getattr(scores, name) for scores, *_ in table]
        print(f"{name}: {np.mean(values):.4f} +- {np.std(values):.4f}")


if __name__ == "__main__":
    main()
