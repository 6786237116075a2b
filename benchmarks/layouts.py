"""Each layout of docs/data.md, made from real data: trained, validated, tested and predicted.

python benchmarks/layouts.py ../shared/data --write docs/data.md

One epoch on some of the images, small networks from random weights: shows that each layout works
with ``--data.data_dir`` alone, what the log says was understood, and the seconds of the four
commands. ``--write`` puts the table between the two comments of that file.
"""

import argparse
import gzip
import io
import logging
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from cli import main as command

Write = Callable[[Path, Path], None]  # of the real data's folder and a new one
NAMES = ("crazing", "inclusion", "patches", "pitted", "rolled-in", "scratches")
SMALL = {
    "aoi": ["--model.network.weights=random", "--data.image_size=64", "--data.num_workers=0"],
    "vessels": ["--model.network.widths=[4,8]", "--data.inputs.size=128"],
    "retina": ["--model.network.widths=[4,8]", "--data.size=128"],
    "blots": ["--trainer.limit_train_batches=40"],
}
MARKS = ("<!-- layouts -->", "<!-- /layouts -->")


def save(image: Image.Image, path: Path) -> None:
    """Write an image in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        image.convert("RGB").save(buffer := io.BytesIO(), "PPM")
        path.write_bytes(gzip.compress(buffer.getvalue()))
    else:
        image.convert("RGB" if image.mode == "P" else image.mode).save(path)


def defects(pattern: str, table: str = "", separator: str = ",") -> Write:
    """NEU images of each class as ``pattern``, and tables as ``table`` if they are asked for."""

    def write(data: Path, root: Path) -> None:
        listed, rows = pd.read_csv(data / "NEU/train.csv"), []
        for label, group in listed.groupby("Label"):
            for number, name in enumerate(group["ID"][:15]):
                split, word = ("train", "train", "test")[number % 3], NAMES[int(label)]
                path = Path(pattern.format(split=split, name=word, number=number))
                save(Image.open(data / "NEU/train_images" / name), root / path)
                rows.append({"ID": path.name, "Label": label, "split": split})
        if table:
            for split, part in pd.DataFrame(rows).groupby("split"):
                part = pd.DataFrame(rows) if "{" not in table else part.drop(columns="split")
                part.to_csv(root / table.format(split=split), sep=separator, index=False)

    return write


def photographs(*patterns: str, splits: tuple[str, ...] = ("training",)) -> Write:
    """DRIVE as ``patterns`` of photographs, vessels and fields of view."""

    def write(data: Path, root: Path) -> None:
        for split in splits:
            for pattern, part in zip(patterns, ("images", "1st_manual", "mask"), strict=False):
                for n, path in enumerate(sorted((data / "DRIVE" / split / part).iterdir())):
                    name = pattern.format(split=split, n=n // 2 + 1, side="LR"[n % 2])
                    save(Image.open(path), root / name)

    return write


def pairs(template: str, image: str = "") -> Write:
    """Blots and their first templates, or both in one file where there is no ``image``."""

    def write(data: Path, root: Path) -> None:
        for n, path in enumerate(sorted((data / "blots/wb_dataset").iterdir())[:60]):
            split = "test" if n % 6 == 0 else "train"
            first = Image.open(data / f"blots/wb_template/BandMask_{path.name}")
            if not image:
                both = Image.new("L", (128, 64))
                both.paste(first, (0, 0))
                both.paste(Image.open(path), (64, 0))
                first = both
            else:
                save(Image.open(path), root / image.format(split=split) / path.name)
            save(first, root / template.format(split=split) / path.name)

    return write


def copy(name: str, *but: str) -> Write:
    """A set as it is, but for some folders."""

    def write(data: Path, root: Path) -> None:
        shutil.copytree(data / name, root, ignore=lambda top, _: but if "test" in top else ())

    return write


HRF = ("images/{n}{side}.jpg", "manual1/{n}{side}.tif", "mask/{n}{side}_mask.tif")
FIVES = ("{split}/Original/{n}{side}.png", "{split}/Ground truth/{n}{side}.png")
CHASE = ("Image_{n:02d}{side}.jpg", "Image_{n:02d}{side}_1stHO.png")
LAYOUTS: dict[str, tuple[str, Write]] = {
    "a folder per class": ("aoi", defects("{name}/{number}.png")),
    "`train/`, `test/`": ("aoi", defects("{split}/{name}/{number}.png")),
    "a table": ("aoi", defects("images/{name}_{number}.png", "labels.csv", ";")),
    "AIdea": ("aoi", defects("{split}_images/{name}_{number}.png", "{split}.csv")),
    "DRIVE": ("vessels", copy("DRIVE")),
    "DRIVE today": ("vessels", copy("DRIVE", "1st_manual", "2nd_manual")),
    "CHASE_DB1": ("vessels", photographs(*CHASE)),
    "STARE": ("vessels", photographs("im{n}{side}.ppm.gz", "im{n}{side}.ah.ppm.gz")),
    "HRF": ("vessels", photographs(*HRF)),
    "FIVES": ("vessels", photographs(*FIVES, splits=("training", "test"))),
    "`images/`, `masks/`": ("vessels", photographs("images/{n}{side}.png", "masks/{n}{side}.png")),
    "photographs": ("retina", photographs("{n}{side}.jp2")),
    "the course's blots": ("blots", copy("blots")),
    "`A/`, `B/`": ("blots", pairs("A", "B")),
    "`trainA/`, `trainB/`": ("blots", pairs("{split}A", "{split}B")),
    "side by side": ("blots", pairs("")),
}


def run(config: str, folder: Path) -> tuple[str, float]:
    """What the log said, and the seconds of fit, validate, test and predict."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    for name in (None, "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).addHandler(handler)
    args = [f"--config=configs/{config}.yaml", f"--data.data_dir={folder / 'data'}"]
    args += [f"--run.root={folder / 'runs'}", "--run.wandb=disabled", *SMALL[config]]
    begun = time.perf_counter()
    command(["fit", *args, "--trainer.max_epochs=1"])
    (record,) = (folder / "runs").glob("*/*/run.json")
    for verb in ("validate", "test", "predict"):
        command([verb, *args, f"--ckpt_path={record.parent}"])
    said = next(line for line in lines if str(folder / "data") in line and " training" in line)
    said = said.partition("; training images by class")[0].partition(": ")[2]
    return said, time.perf_counter() - begun


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--write", type=Path, help="file with the two comments")
    options = parser.parse_args()
    rows = ["| layout | config | understood as | seconds |", "|---|---|---|---|"]
    for name, (config, write) in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            write(options.data, Path(folder, "data"))
            said, seconds = run(config, Path(folder))
        rows.append(f"| {name} | `{config}` | {said} | {seconds:.0f} |")
        print(rows[-1], flush=True)
    if options.write:
        text, table = options.write.read_text(), "\n".join([MARKS[0], "", *rows, "", MARKS[1]])
        marked = re.compile(f"{MARKS[0]}.*{MARKS[1]}", re.DOTALL)
        options.write.write_text(marked.sub(lambda _: table, text))


if __name__ == "__main__":
    main()
