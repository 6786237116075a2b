"""The first numbers of every config in two checkouts: a redesign must not change them.

git worktree add /tmp/before 33d2331
python benchmarks/compare_checkouts.py /tmp/before .

For each config that both have: the losses of the first training steps and the metrics of a whole
validation after them, on the built-in sample, seed 42, CPU, 32-true. Prints the largest difference
of each and exits with 1 if one is above the tolerance. Metrics are matched by name;
``RENAMED`` says how.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

RENAMED = {"/frame/": "/full_image/"}
GONE = (
    "best_threshold_image_mean",  # a mean over images of a threshold meant nothing
    "val/objective",  # the loss, where nothing is compressed
    "val/kid_random",  # of features that nobody knows
)
OPTIONS = {
    "trainer.accelerator": "cpu",
    "trainer.precision": "32-true",
    "trainer.max_epochs": 1,
    "trainer.limit_train_batches": 3,
    "trainer.limit_val_batches": 1.0,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.num_sanity_val_steps": 0,
    "trainer.log_every_n_steps": 1,
    "run.wandb": "disabled",
    "seed_everything": 42,
}


class FirstNumbers(Callback):
    """Writes the loss of each training step and the validation metrics to a JSON file."""

    def __init__(self, path: str) -> None:
        self.path, self.steps, self.metrics = Path(path), list[dict[str, float]](), {}

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        outputs = args[1]
        step = {"loss": float(outputs["loss"])} if outputs and "loss" in outputs else {}
        logged = trainer.callback_metrics.items()
        self.steps.append(step | {k: float(v) for k, v in logged if k.endswith("_loss_step")})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        logged = trainer.callback_metrics.items()
        self.metrics = {name: float(value) for name, value in logged if name.startswith("val/")}

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.path.write_text(json.dumps({"steps": self.steps, "metrics": self.metrics}))


def first_numbers(checkout: Path, config: str) -> dict[str, Any]:
    """What `FirstNumbers` finds for a config, by the command line of ``checkout``."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--{name}={value}" for name, value in OPTIONS.items()]
        numbers = Path(folder, "numbers.json")
        callback = [
            "--trainer.callbacks+=compare_checkouts.FirstNumbers",
            f"--trainer.callbacks.path={numbers}",
        ]
        command = [sys.executable, "cli.py", "fit", f"--config=configs/{config}.yaml"]
        subprocess.run(
            [*command, *options, f"--run.root={folder}", *callback],
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent)},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found: dict[str, Any] = json.loads(numbers.read_text())
    return found


def largest_difference(before: dict[str, float], after: dict[str, float]) -> tuple[float, str]:
    """The largest absolute difference and the metric it is of; a missing metric is infinite."""
    for old, new in RENAMED.items():
        before = {name.replace(old, new): value for name, value in before.items()}
    before = {
        name: value for name, value in before.items() if name in after or not name.endswith(GONE)
    }
    return max(
        (abs(after.get(name, float("inf")) - value) if value == value else 0.0, name)
        for name, value in before.items()
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--configs", nargs="*", help="names; all that both have by default")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    options = parser.parse_args()
    checkouts = [options.before.resolve(), options.after.resolve()]
    names = [{path.stem for path in (c / "configs").glob("*.yaml")} for c in checkouts]
    failed = False
    print("| config | training losses, largest difference | validation metrics | metric |")
    print("|---|---|---|---|")
    for config in options.configs or sorted(names[0] & names[1]):
        before, after = (first_numbers(checkout, config) for checkout in checkouts)
        steps = max(
            largest_difference(a, b)[0]
            for a, b in zip(before["steps"], after["steps"], strict=True)
        )
        metrics, worst = largest_difference(before["metrics"], after["metrics"])
        failed |= max(steps, metrics) > options.tolerance
        print(f"| {config} | {steps:.1e} | {metrics:.1e} | {worst} |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
