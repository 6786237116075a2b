"""How many wrong labels `crossval` finds: some are changed at random, then looked for.

    python benchmarks/label_errors.py --data_dir ../shared/data/NEU --share 0.05 \
        --options --model.network.weights=../shared/data/weights/resnet18_imagenet_pq.pth
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from commandline.verbs import main
from datamodules.aoi_files import find_images


def run(options: argparse.Namespace) -> None:
    """Print the share of the changed labels that is found, and of the found ones that is right."""
    files = find_images(options.data_dir, "train")
    assert files is not None
    rng = np.random.default_rng(options.seed)
    classes, labels = np.unique(files.labels, return_inverse=True)
    changed = rng.choice(len(labels), round(options.share * len(labels)), replace=False)
    labels[changed] = (labels[changed] + rng.integers(1, len(classes), len(changed))) % len(classes)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "table.csv")
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("file", "label"))
            rows.writerows(zip(files.names, (f"class {classes[i]}" for i in labels), strict=True))
        args = ["crossval", f"--config=configs/{options.config}.yaml", f"--data.table={table}"]
        args += [f"--data.data_dir={files.folder}", f"--run.root={folder}", "--run.name=errors"]
        found = main([*args, "--run.wandb=disabled", *options.options])
        with (found / "suspects.csv").open(newline="") as file:
            suspects = {row["ID"] for row in csv.DictReader(file)}
        with (found / "duplicates.csv").open(newline="") as file:
            duplicates = len(list(csv.DictReader(file)))
    wrong = {files.names[i] for i in changed}
    hits = len(suspects & wrong)
    print(
        f"{len(wrong)} of {len(labels)} labels changed, {len(suspects)} suspects: recall "
        f"{hits / len(wrong):.3f}, precision {hits / max(len(suspects), 1):.3f}; "
        f"{duplicates} pairs of near-duplicates",
        flush=True,
    )


if __name__ == "__main__":
    raw = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--config", default="aoi")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of fit")
    run(parser.parse_args())
