"""How long cli.py takes to start, and how the AOI reference grows with images, size and workers.

python benchmarks/scaling.py

Start-up: everything is run once before it is timed, so files are cached and the sample is drawn.
Scaling: the built-in sample (its images repeated under other names), a frozen network of random
weights, two epochs on its features. "Features" is the one pass over all images. Memory is the
largest resident set of the main process; each worker adds its own. Prints Markdown.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from training import clocked, timed

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.aoi import AOIDataModule
from datamodules.label_tables import read_table

# Times that the images are repeated, side in px, workers.
CASES = [(1, 112, 2), (4, 112, 2), (16, 112, 2), (1, 56, 2), (1, 224, 2), (1, 448, 2)]
CASES += [(4, 112, 0), (4, 112, 1)]


def first_step() -> float:
    """Seconds from the command to the end of the first training step of the AOI sample."""
    limits = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    limits += ["--model.network.weights=random"]
    record = clocked("aoi", "val/accuracy", [*limits, "--trainer.limit_val_batches=1"])
    return record["first_step"] - record["started"]


def start_up(repeats: int) -> None:
    """Print the table of start-up."""
    cli = [sys.executable, "cli.py"]
    print("| command | seconds |\n|---|---|")
    for name, run in {
        "`cli.py --help`": lambda: timed([*cli, "--help"])[0],
        "`cli.py fit --help`": lambda: timed([*cli, "fit", "--help"])[0],
        "`cli.py fit --config configs/aoi.yaml`, to the first step": first_step,
    }.items():
        run()
        print(f"| {name} | {median(run() for _ in range(repeats)):.1f} |", flush=True)


def repeated(sample: Path, target: Path, times: int) -> int:
    """Write the sample with each training image ``times`` times, as links; how many that makes."""
    table = read_table(sample / "train.csv")
    (target / "train_images").mkdir(parents=True)
    lines = ["ID,Label"]
    for copy in range(times):
        for row in table:
            image = (sample / "train_images" / row.name).resolve()
            (target / "train_images" / f"{copy}_{row.name}").symlink_to(image)
            lines.append(f"{copy}_{row.name},{row.label}")
    (target / "train.csv").write_text("\n".join(lines) + "\n")
    return len(lines) - 1


def scaling(cases: list[tuple[int, int, int]]) -> None:
    """Print the table of scaling."""
    print("| images | side, px | workers | features | an epoch | whole command | peak memory |")
    print("|---|---|---|---|---|---|---|")
    sample = AOIDataModule()
    sample.prepare_data()
    for times, side, workers in cases:
        with tempfile.TemporaryDirectory() as folder:
            count = repeated(sample.folder, Path(folder), times)
            options = [f"--data.data_dir={folder}", f"--data.image_size={side}"]
            options += [f"--data.num_workers={workers}", "--model.network.weights=random"]
            record = clocked("aoi", "val/accuracy", [*options, "--trainer.max_epochs=2"])
        print(
            f"| {count} | {side} | {workers} | {record['before']:.1f} s | "
            f"{record['epoch_seconds'][-1]:.2f} s | {record['command']:.1f} s | "
            f"{record['peak']:.2f} GiB |",
            flush=True,
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="of start-up")
    parser.add_argument("--cases", type=int, default=len(CASES), help="first ones of scaling")
    options = parser.parse_args()
    start_up(options.repeats)
    print()
    scaling(CASES[: options.cases])


if __name__ == "__main__":
    main()
