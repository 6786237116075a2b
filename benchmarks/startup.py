"""How long cli.py takes until it does something.

python benchmarks/startup.py

Everything is run once before it is timed, so files are cached and the sample is drawn. Prints
Markdown.
"""

import argparse
import sys
from statistics import median

from training import clocked, timed


def first_step() -> float:
    """Seconds from the command to the end of the first training step of the AOI sample."""
    limits = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    record = clocked("aoi", "val/accuracy", [*limits, "--trainer.limit_val_batches=1"])
    return record["first_step"] - record["started"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    cli = [sys.executable, "cli.py"]
    cases = {
        "`cli.py --help`": lambda: timed([*cli, "--help"])[0],
        "`cli.py fit --help`": lambda: timed([*cli, "fit", "--help"])[0],
        "`cli.py fit --config configs/aoi.yaml`, to the first step": first_step,
    }
    print("| command | seconds |\n|---|---|")
    for name, run in cases.items():
        run()
        print(f"| {name} | {median(run() for _ in range(options.repeats)):.1f} |", flush=True)


if __name__ == "__main__":
    main()
