"""Trainings that are killed at random moments and resumed end as if nothing had happened.

python benchmarks/kills.py [--times 20] [--configs aoi vessels_best]

Each run of the real command line, on small data, gets SIGKILL with its workers at a random moment,
is started again with ``--ckpt_path last``, perhaps killed again, until it is finished. Weights,
optimizer states, the kept checkpoints and ``metrics.csv`` must equal those of an uninterrupted run
bit for bit. Prints a Markdown table; the exit status says whether there are differences.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import forked
import tiny_data
import torch
from torch.utils._pytree import tree_flatten

CONFIGS = sorted(tiny_data.SMALL)
MOST_KILLS = 4  # of one training, which then is left to finish


def options(config: str, data: Path, epochs: int) -> list[str]:
    """Arguments of a training of some seconds."""
    return [
        *tiny_data.options(config),
        f"--data.data_dir={tiny_data.data_of(config, data)}",
        "--run.root=runs",
        "--trainer.log_every_n_steps=1",
        f"--trainer.max_epochs={epochs}",
    ]


def finished_run(here: Path) -> Path:
    """The newest run folder with a checkpoint."""
    found = here.glob("runs/*/*/checkpoints/last.ckpt")
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent.parent


def killed_until_finished(args: list[str], here: Path, seconds: float) -> int:
    """Train with kills in between; returns how many there were.

    Raises:
        RuntimeError: a start failed by itself.
    """
    kills = 0
    while True:
        resume = any(here.glob("runs/*/*/checkpoints/last.ckpt"))
        more = ["--ckpt_path=last"] if resume else []
        pid = forked.start(["fit", *args, *more], here)
        if kills < MOST_KILLS:
            end = time.monotonic() + random.uniform(0.1, 1.0) * seconds
            while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0):
                time.sleep(0.002)
            try:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                kills += 1
                continue
            except (ProcessLookupError, ChildProcessError):
                pass  # it had finished before
        else:
            forked.wait(pid, args, here, 600)
        output = (here / "output.txt").read_text()
        if "report " in output or "has trained its" in output:
            return kills
        raise RuntimeError(output)


def differences(one: Path, other: Path) -> list[str]:
    """What is not the same in two run folders."""
    found = []
    names = [sorted(p.name for p in run.glob("checkpoints/[!.]*.ckpt")) for run in (one, other)]
    if names[0] != names[1]:
        found.append(f"checkpoints {names[0]} and {names[1]}")
    for name in set(names[0]) & set(names[1]):
        first, second = (
            torch.load(run / "checkpoints" / name, weights_only=True) for run in (one, other)
        )
        for part in ("state_dict", "optimizer_states", "lr_schedulers"):
            if not _equal(first[part], second[part]):
                found.append(f"{part} of {name}")
    if (one / "metrics.csv").read_bytes() != (other / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    if not (other / "report.html").exists():
        found.append("no report")
    return found + [f"left over: {path.name}" for path in other.rglob(".half-*")]


def _equal(one: object, other: object) -> bool:
    (a, one_spec), (b, other_spec) = tree_flatten(one), tree_flatten(other)
    pairs = zip(a, b, strict=False)
    same = (torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in pairs)
    return one_spec == other_spec and all(same)


def main() -> None:
    """Kill, resume, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--times", type=int, default=3, help="trainings of each config")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--configs", nargs="+", default=CONFIGS, choices=CONFIGS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    forked.warm_up()
    failed = False
    print("| config | trainings | kills | mismatches |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        root = Path(folder)
        tiny_data.write_all(root / "data")
        for config in chosen.configs:
            args = options(config, root / "data", chosen.epochs)
            whole = root / "whole" / config
            whole.mkdir(parents=True)
            done = forked.run(["fit", *args], whole, timeout=600)
            if done.status:
                sys.exit(done.output)
            kills, odd = 0, []
            for number in range(chosen.times):
                here = root / "killed" / f"{config}-{number}"
                here.mkdir(parents=True)
                try:
                    kills += killed_until_finished(args, here, done.seconds)
                    odd += differences(finished_run(whole), finished_run(here))
                except RuntimeError as error:
                    odd.append(str(error))
                shutil.rmtree(here)
            print(f"| {config} | {chosen.times} | {kills} | {len(odd)} |", flush=True)
            for line in odd:
                print(f"    {line}", file=sys.stderr, flush=True)
            failed |= bool(odd)
    sys.exit(failed)


if __name__ == "__main__":
    main()
