"""How the time and memory of the AOI reference grow with images, image size and workers.

python benchmarks/scaling.py

The built-in sample (its images repeated under other names), a frozen network of random weights,
two epochs on its features. "Features" is the one pass over all images. Memory is the largest
resident set of the main process; each worker adds its own. Prints Markdown.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from training import ROOT, clocked

sys.path.insert(0, str(ROOT))
from datamodules.aoi import AOIDataModule
from datamodules.aoi_files import read_table


def repeated(sample: AOIDataModule, folder: Path, times: int) -> tuple[Path, int]:
    """The sample with each training image ``times`` times, as links; and how many that makes."""
    names, labels = read_table(sample.folder / "train.csv", 6, labeled=True)
    target = folder / f"x{times}"
    (target / "train_images").mkdir(parents=True)
    lines = ["ID,Label"]
    for copy in range(times):
        for name, label in zip(names, labels.tolist(), strict=True):
            (target / "train_images" / f"{copy}_{name}").symlink_to(
                (sample.folder / "train_images" / name).resolve()
            )
            lines.append(f"{copy}_{name},{label}")
    (target / "train.csv").write_text("\n".join(lines) + "\n")
    return target, len(lines) - 1


def main() -> None:
    """Print the table."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    print("| images | side, px | workers | features | an epoch | whole command | peak memory |")
    print("|---|---|---|---|---|---|---|")
    cases = [(times, 112, 2) for times in (1, 4, 16)]
    cases += [(1, side, 2) for side in (56, 224, 448)]
    cases += [(4, 112, workers) for workers in (0, 1)]
    sample = AOIDataModule()
    sample.prepare_data()
    with tempfile.TemporaryDirectory() as folder:
        made = {times: repeated(sample, Path(folder), times) for times in {c[0] for c in cases}}
        for times, side, workers in cases:
            data, count = made[times]
            record = clocked(
                "aoi",
                "val/accuracy",
                [
                    f"--data.data_dir={data}",
                    f"--data.image_size={side}",
                    f"--data.num_workers={workers}",
                    "--model.network.weights=random",
                    "--trainer.max_epochs=2",
                ],
            )
            print(
                f"| {count} | {side} | {workers} | {record['before']:.1f} s | "
                f"{record['epoch_seconds'][-1]:.2f} s | {record['command']:.1f} s | "
                f"{record['peak']:.2f} GiB |",
                flush=True,
            )


if __name__ == "__main__":
    main()
