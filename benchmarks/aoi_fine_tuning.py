"""The whole network fine-tuned from few labels, by a config of aoi, through the command line.

    python benchmarks/aoi_fine_tuning.py --data_dir ../shared/data/NEU \\
        --weights ../shared/data/weights/resnet18_imagenet_pq.pth [--image_size 96]

From 5, 10 and 20 images a class, some draws, for as many epochs as give ``--steps`` steps; scored
on the rest of the labeled images. The frozen backbone's heads are in benchmarks/aoi_heads.py.
Other options are those of ``cli.py fit``. Prints Markdown: mean and standard deviation of the
accuracy.
"""

import argparse
import csv
import os
import sys
import tempfile
from contextlib import redirect_stdout
from math import ceil
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

sys.path.insert(0, str(Path(__file__).parent.parent))
from cli import main as run_cli

ROOT = Path(__file__).parent.parent
BATCH, SEED = 32, 0


def write_split(data: Path, rows: list[list[str]], chosen: dict[str, np.ndarray]) -> None:
    """The layout of AOI: the chosen rows of the table as ``train`` and ``test``."""
    for part, places in chosen.items():
        images = data / f"{part}_images"
        images.mkdir(parents=True)
        with (data / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["ID", "Label"], *(rows[place] for place in places)])
        for place in places:
            os.symlink(data.parent / "images" / rows[place][0], images / rows[place][0])


def accuracy(data: Path, config: str, options: list[str], epochs: int) -> float:
    """Of the test images, by the network trained on the others."""
    args = [
        f"--config={ROOT / 'configs' / f'{config}.yaml'}",
        f"--run.root={data / 'runs'}",
        f"--data.data_dir={data}",
        "--data.fold=all",
        f"--trainer.max_epochs={epochs}",
        "--trainer.enable_progress_bar=false",
        "--data.num_workers=0",
        f"--data.batch_size={BATCH}",
        *options,
    ]
    with redirect_stdout(sys.stderr):
        run_cli(["fit", *args])
        cli = run_cli(["test", *args, "--ckpt_path=last"])
    return float(cli.trainer.callback_metrics["test/accuracy"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--weights", default="IMAGENET1K_V1")
    parser.add_argument("--config", default="aoi_best")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--labels", type=int, nargs="*", default=[5, 10, 20])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    given, more = parser.parse_known_args()
    os.environ["WANDB_MODE"] = "disabled"
    sys.argv = ["cli.py"]
    with (given.data_dir / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    labels = np.array([row[1] for row in rows])
    classes = len(set(labels))
    names = ",".join(f"class {number}" for number in range(classes))
    options = [f"--data.image_size={given.image_size}", f"--model.network.weights={given.weights}"]
    options += [f"--data.class_names=[{names}]", *more]
    print(f"{len(rows)} images at {given.image_size} px, {given.steps} steps\n")
    print("| labels a class | accuracy on the rest | draws |\n|---|---|---|", flush=True)
    for count in given.labels:
        draw = StratifiedShuffleSplit(given.draws, train_size=count * classes, random_state=SEED)
        epochs, scores = ceil(given.steps / ceil(count * classes / BATCH)), []
        for train, rest in draw.split(labels, labels):
            with tempfile.TemporaryDirectory() as name:
                os.symlink((given.data_dir / "train_images").resolve(), Path(name, "images"))
                write_split(Path(name, "data"), rows, {"train": train, "test": rest})
                scores.append(accuracy(Path(name, "data"), given.config, options, epochs))
        spread = f"{np.mean(scores):.2%} +- {np.std(scores, ddof=1):.2%}"
        print(f"| {count} | {spread} | {', '.join(f'{s:.1%}' for s in scores)} |", flush=True)


if __name__ == "__main__":
    main()
