"""The shipped reference configs beside the plain loops: A B A B, medians and ratios.

python benchmarks/training.py --data ../shared/data

Both sides train on the same images for the same number of epochs, with the same split, and report
the quality they reached. Vessels and retina stop after four steps, which tell the time but no
quality; ``--tasks retina --epochs 10 --pairs 1`` tells it, within the hour. ``--data`` is a folder
with ``NEU``, ``DRIVE``, ``blots`` and ``weights/resnet18_imagenet_pq.pth``. Prints Markdown.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
NEU_CLASSES = "[crazing,inclusion,patches,pitted_surface,rolled_in_scale,scratches]"


def tasks(data: Path) -> dict[str, dict[str, Any]]:
    """What is compared: epochs, steps in each (null: all), metric, arguments of either side."""
    weights = (data / "weights/resnet18_imagenet_pq.pth").resolve()
    neu, drive, blots = (str((data / name).resolve()) for name in ("NEU", "DRIVE", "blots"))
    four_steps = {  # of 16; a whole epoch takes the plain loop minutes
        "epochs": 1,
        "steps": 4,
        "plain": [f"--data_dir={drive}"],
        "ours": [f"--data.data_dir={drive}"],
    }
    return {
        "aoi": {
            "epochs": 10,
            "quality": "val/accuracy",
            "plain": [f"--data_dir={neu}", f"--weights={weights}"],
            "ours": [
                f"--data.data_dir={neu}",
                f"--data.class_names={NEU_CLASSES}",
                f"--model.network.weights={weights}",
            ],
        },
        "vessels": four_steps | {"quality": "val/full_image/dice_pooled"},
        "retina": four_steps | {"quality": "val/psnr"},
        "blots": {
            "epochs": 2,
            "quality": "val/ssim",
            "plain": [f"--data_dir={blots}"],
            "ours": [f"--data.data_dir={blots}"],
        },
    }


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds and standard output of a command."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start, done.stdout


def plain(task: str, what: dict[str, Any], *more: str) -> dict[str, Any]:
    """A run of ``plain.py``."""
    script = [sys.executable, "benchmarks/plain.py", task, f"--epochs={what['epochs']}"]
    limit = [f"--steps={what.get('steps')}"] if what.get("steps") else []
    seconds, output = timed([*script, *limit, *what["plain"], *more])
    record = json.loads(output.splitlines()[-1])
    return {**record, "command": seconds, "training": sum(record["epoch_seconds"])}


def clocked(config: str, quality: str, arguments: list[str]) -> dict[str, Any]:
    """What `Clock` wrote of ``cli.py fit``; seconds of its training and of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        clock = f"{folder}/clock.json"
        command = [sys.executable, "cli.py", "fit", f"--config=configs/{config}.yaml"]
        command += [f"--run.root={folder}", "--run.wandb=disabled", *arguments]
        command += [
            "--trainer.callbacks+=benchmarks.probes.Clock",
            f"--trainer.callbacks.path={clock}",
            f"--trainer.callbacks.quality={quality}",
        ]
        started = time.time()
        seconds, _ = timed(command)
        record = json.loads(Path(clock).read_text())
    training = record["before"] + sum(record["epoch_seconds"])
    return {**record, "started": started, "command": seconds, "training": training}


def ours(task: str, what: dict[str, Any], *more: str) -> dict[str, Any]:
    """A run of ``cli.py fit`` with the task's reference config."""
    limits = [f"--trainer.max_epochs={what['epochs']}"]
    if what.get("steps"):
        limits.append(f"--trainer.limit_train_batches={what.get('steps')}")
    return clocked(task, what["quality"], [*limits, *what["ours"], *more])


def step(runs: list[dict[str, Any]]) -> float:
    """Median seconds of a step over all runs, without each run's first."""
    return median(value for run in runs for value in run["step_seconds"][1:])


def quality(runs: list[dict[str, Any]]) -> str:
    """The best epoch's score of each run, and the last epoch's."""
    scores = [run["scores"] for run in runs]
    return ", ".join(f"{max(s):.4f} ({s[-1]:.4f})" if len(s) > 1 else f"{s[0]:.4f}" for s in scores)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=["aoi", "vessels", "retina", "blots"])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--epochs", type=int, help="whole ones, of every task, to compare quality")
    options = parser.parse_args()

    print("| task | what | plain loop | shipped | ratio | best (last) quality: plain | shipped |")
    print("|---|---|---|---|---|---|---|")
    for task in options.tasks:
        what = tasks(options.data)[task]
        if options.epochs:
            what = {**what, "epochs": options.epochs, "steps": None}
        a, b, bare = [], [], []
        for _ in range(options.pairs):
            a.append(plain(task, what))
            b.append(ours(task, what))
            if task == "blots":
                bare.append(plain(task, what, "--shipped"))
        length = f"{what.get('steps')} steps" if what.get("steps") else f"{what['epochs']} epochs"
        rows = {
            f"whole command, {length}": [median(run["command"] for run in runs) for runs in (a, b)],
            f"training, {length}": [median(run["training"] for run in runs) for runs in (a, b)],
        }
        if task != "aoi":
            rows["a step"] = [step(a), step(b)]
        for name, (slow, fast) in rows.items():
            times = [f"{s:.1f} s" if s >= 1 else f"{1e3 * s:.1f} ms" for s in (slow, fast)]
            print(f"| {task} | {name} | {' | '.join(times)} | {slow / fast:.1f} | ", end="")
            print(f"{quality(a)} | {quality(b)} |", flush=True)
        if bare:
            overhead = 1 - step(bare) / step(b)
            print(
                f"| {task} | a step, plain loop with the shipped settings | "
                f"{1e3 * step(bare):.1f} ms | {1e3 * step(b):.1f} ms | "
                f"Lightning: {overhead:.0%} of the step | | |",
                flush=True,
            )
    if "vessels" in options.tasks and not options.epochs:
        print(soon(options.data), flush=True)


def soon(data: Path) -> str:
    """A row: ``vessels_best`` with its cycle cut to 300 steps, scored inside the field of view."""
    steps = ["--trainer.max_epochs=3", "--trainer.check_val_every_n_epoch=3"]
    drive = f"--data.data_dir={(data / 'DRIVE').resolve()}"
    record = clocked("vessels_best", "val/fov/dice_pooled", [drive, *steps])
    seconds, dice = record["training"], record["scores"][-1]
    return f"| vessels_best | training, 300 steps | - | {seconds:.1f} s | | - | {dice:.4f} |"


if __name__ == "__main__":
    main()
