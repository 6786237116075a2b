"""Every config on the accelerator at hand (CUDA, MPS, else the CPU), beside the CPU in float32.

python benchmarks/accelerator.py

A few steps of each config on the built-in sample, through the real command line, without figures
and with the feature cache off. There are five trainings: in float32 on the CPU; on the
accelerator as `cli.py` sets it up; resumed from the first epoch's checkpoint of that, on the
accelerator and on the CPU; and from there back on the accelerator. Columns, limits in `LIMITS`:

- output: of the network, the same weights and images on both; largest difference, relative to the
  CPU's largest output.
- first loss, losses: of training, the first step's and all of them, accelerator beside CPU;
  largest difference, relative to the CPU's largest loss.
- resumed: the same for losses of the resumed run beside those of the uninterrupted one, both on the
  accelerator.
- to the CPU, and back: likewise, resumed on the CPU, and from there on the accelerator.

Random numbers are drawn on the CPU throughout, so that both devices see the same. Images a second
are of training, with loading, the median over the steps after the first epoch. Peak memory is the
accelerator's, on a CPU the process's. On a CPU networks and images are small (``--small``) and all
takes a minute and a half of one core. Prints Markdown; exits with 1 if anything is above its limit.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from probes import DrawnOnCPU, peak_memory
from tiny_data import SMALL

import cli
from experiment.hardware import git_revision, machine, native_memory_format
from inference import load
from inference.model import AUTOCAST

EPOCHS = 3
CONFIG_DIR = Path(__file__).parent.parent / "configs"
CONFIGS = sorted(SMALL)

DIFFERENCES = ("output", "first loss", "losses", "resumed", "to the CPU", "and back")
# Largest differences that are tolerated. TF32, which cuDNN takes for float32 convolutions on a GPU,
# has 10 bits, bfloat16 has 8.
LIMITS = {
    "32-true": (0.005, 0.002, 0.02, 0.02, 0.02, 0.02),
    "bf16-mixed": (0.05, 0.03, 0.1, 0.05, 0.1, 0.1),
}


@dataclass(frozen=True)
class Row:
    """What was found of a config."""

    config: str
    precision: str
    memory_format: str
    differences: tuple[float, ...]  # as `DIFFERENCES`
    rate: float  # images per second
    peak: float  # GiB

    @property
    def good(self) -> bool:
        """Whether all is within its limit; on one CPU a resumed run is the same bit for bit."""
        limits = dict(zip(DIFFERENCES, LIMITS[self.precision], strict=True))
        if accelerator() == "cpu":
            limits["resumed"] = 0
        return all(d <= limit for d, limit in zip(self.differences, limits.values(), strict=True))

    def __str__(self) -> str:
        cells = [self.config, self.precision, self.memory_format]
        cells += [f"{value:.1e}" for value in self.differences]
        cells += [f"{self.rate:.3g}", f"{self.peak:.2f} GiB", "yes" if self.good else "**no**"]
        return f"| {' | '.join(cells)} |"


HEAD = ["config", "precision", "memory format", *DIFFERENCES, "images/s", "peak memory"]
HEAD.append("within limits")


def accelerator() -> str:
    """What Lightning's ``auto`` takes of CUDA, MPS and the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def write_config(name: str, folder: Path) -> Path:
    """The config with a `Probe` and without figures."""
    config = yaml.safe_load((CONFIG_DIR / f"{name}.yaml").read_text(encoding="utf-8"))
    callbacks = config["trainer"]["callbacks"]
    kept = [one for one in callbacks if not one["class_path"].endswith("Figures")]
    probe = {"class_path": "benchmarks.probes.Probe", "init_args": {"folder": str(folder)}}
    config["trainer"]["callbacks"] = [*kept, probe]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


class Runs:
    """Trainings of one config, each in a folder of its own."""

    def __init__(self, config: str, steps: int, small: bool, root: Path) -> None:
        self.config, self.root = config, root
        self.options = [
            f"--trainer.max_epochs={EPOCHS}",
            f"--trainer.limit_train_batches={steps}",
            "--trainer.limit_val_batches=1",
            "--trainer.num_sanity_val_steps=0",
            "--trainer.enable_progress_bar=false",
            "--run.wandb=disabled",
            f"--run.root={root}",
            *(SMALL[config] if small else []),
        ]
        if config.startswith("aoi"):
            self.options += ["--data.cache_features=false", "--model.network.weights=random"]
        self.options.append("--data.num_workers=0")

    def fit(
        self, name: str, device: str, checkpoint: Path | None = None, precision: str | None = None
    ) -> tuple[cli.CLI, Any]:
        """The finished command line and its `Probe`."""
        folder = self.root / name
        folder.mkdir()
        args = [f"--config={write_config(self.config, folder)}", *self.options]
        args += [f"--trainer.accelerator={device}", f"--run.name={name}"]
        if precision is not None:
            args.append(f"--trainer.precision={precision}")
        if checkpoint is not None:
            args.append(f"--ckpt_path={checkpoint}")
        with DrawnOnCPU():
            done = cli.main(["fit", *args])
        callbacks: list[Any] = done.trainer.callbacks  # type: ignore[attr-defined]
        return done, next(c for c in callbacks if type(c).__name__ == "Probe")


def measure(config: str, steps: int, small: bool) -> Row:
    """Train, resume and compare."""
    device = accelerator()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(config, steps, small, Path(folder))
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        done, whole = runs.fit("whole", device)
        if device == "cpu":
            peak = peak_memory()
        elif device == "mps":
            peak = torch.mps.driver_allocated_memory() / 2**30
        else:
            peak = torch.cuda.max_memory_allocated() / 2**30
        first = runs.root / "whole/0.ckpt"
        resumed = runs.fit("resumed", device, first)[1]
        on_cpu = runs.fit("on_cpu", "cpu", first, "32-true")[1]
        second = runs.root / "on_cpu/1.ckpt"
        back = runs.fit("back", device, second)[1]
        reference = runs.fit("float32", "cpu", precision="32-true")[1].losses
        last = runs.root / f"whole/{EPOCHS - 1}.ckpt"
        output = output_difference(done, last)
    trainer = done.trainer
    assert len(whole.losses) == EPOCHS * steps, "the sample has too few batches"
    differences = (
        output,
        difference(whole.losses[:1], reference[:1], reference),
        difference(whole.losses, reference, reference),
        difference(resumed.losses, whole.losses[steps:], reference),
        difference(on_cpu.losses, whole.losses[steps:], reference),
        difference(back.losses, whole.losses[2 * steps :], reference),
    )
    layout = str(native_memory_format(trainer.strategy.root_device))
    rate = whole.images / median(whole.seconds[steps:])
    return Row(config, str(trainer.precision), layout, differences, rate, peak)


def difference(
    found: list[list[float]], expected: list[list[float]], scale: list[list[float]]
) -> float:
    """Largest difference, relative to the largest of ``scale``; NaN counts as infinite."""
    largest = torch.tensor(scale).abs().max()
    value = (torch.tensor(found) - torch.tensor(expected)).abs().max() / largest
    return float(value.nan_to_num(nan=torch.inf))


@torch.inference_mode()
def output_difference(done: cli.CLI, checkpoint: Path) -> float:
    """Of a checkpoint's network on validation images: the accelerator beside the CPU."""
    data, trainer = done.datamodule, done.trainer
    batch = next(iter(data.eval_loader(data.val_set)))
    batch = data.on_after_batch_transfer(batch, 0)
    inputs = [batch[key] for key in ("image", "style") if key in batch]
    outputs: list[Tensor] = []
    for device, precision in (("cpu", "32-true"), (accelerator(), str(trainer.precision))):
        model = load(checkpoint, device, precision)
        torch.manual_seed(0)
        kind = AUTOCAST.get(precision)
        with DrawnOnCPU(), torch.autocast(device, kind, kind is not None):
            output = model.network(*(x.to(device) for x in inputs))
            output = output[-1] if isinstance(output, tuple) else output
            outputs.append(output.float().cpu())
    reference, found = outputs
    return float((found - reference).abs().max() / reference.abs().max())


def in_silence(config: str, steps: int, small: bool) -> Row | str:
    """`measure`, or a line that says why it failed; for a process of its own."""
    with tempfile.TemporaryFile() as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
        try:
            return measure(config, steps, small)
        except Exception as error:
            cause = " ".join(str(error).split())[:200]
            where = traceback.extract_tb(error.__traceback__)[-1]
            return f"| {config} | {type(error).__name__}: {cause} ({where.name}) |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configs", nargs="+", default=CONFIGS, choices=CONFIGS)
    parser.add_argument("--steps", type=int, default=2, help="in each of three epochs")
    parser.add_argument("--small", action=argparse.BooleanOptionalAction, help="narrow networks")
    options = parser.parse_args()
    small = accelerator() == "cpu" if options.small is None else options.small
    start, good = time.monotonic(), True
    print(f"{machine()}, torch {torch.__version__}, revision {git_revision()}, {accelerator()}\n")
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    # A process for each config: its peak memory is its own. No accelerator survives a fork.
    on_linux_cpu = accelerator() == "cpu" and sys.platform == "linux"
    context = multiprocessing.get_context("fork" if on_linux_cpu else "spawn")
    case = partial(in_silence, steps=options.steps, small=small)
    with context.Pool(1, maxtasksperchild=1) as pool:
        for row in pool.imap(case, options.configs, chunksize=1):
            good &= isinstance(row, Row) and row.good
            print(row, flush=True)
    print(f"\n{(time.monotonic() - start) / 60:.1f} minutes. Limits:\n")
    for precision, limits in LIMITS.items():
        values = (f"{name} {limit:g}" for name, limit in zip(DIFFERENCES, limits, strict=True))
        print(f"- {precision}: {', '.join(values)}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
