"""Files of `cli.py compress` beside AVIF by default, JPEG XL, WebP and JPEG, on DRIVE.

python benchmarks/compression.py --data_dir ../shared/data/DRIVE --split val --figure kept.png

Means over the photographs at their own size: bits per pixel, how many times smaller than 24 bits,
PSNR in dB and SSIM of 8-bit copies in the range [0, 1], vessels kept (`vessels_kept`; `found` is
the length of all center lines in the copy over that in the photograph, so lines that are not there
count too), and seconds of the process to encode, on one thread. Prints Markdown. JPEG XL needs the
package pillow-jxl-plugin.
"""

import argparse
import importlib
import io
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from skimage.morphology import skeletonize
from torchvision.transforms.functional import to_tensor

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.fundus_files import find_photographs, training_split
from datamodules.images import read_image
from experiment.plotting import styled
from inference import load
from inference.compression import SPEED, TUNE, VESSELS, decode, vessels_kept
from lit_models.metrics.image_scores import image_scores

# Format, options and qualities of each line. JPEG XL: the plugin's `effort` of 7 is its default.
METHODS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "compress": (
        "AVIF",
        {"speed": SPEED, "subsampling": "4:4:4", "advanced": TUNE},
        (25, 40, 50, 60, 70, 80, 85, 88, 90, 92, 95),
    ),
    "compress, 4:2:0": (
        "AVIF",
        {"speed": SPEED, "subsampling": "4:2:0", "advanced": TUNE},
        (88, 92),
    ),
    "AVIF, 4:4:4": ("AVIF", {"subsampling": "4:4:4"}, (75, 88, 92)),
    "AVIF": ("AVIF", {}, (75, 90, 96)),
    "JPEG XL": ("JXL", {}, (80, 90, 94)),
    "WebP": ("WEBP", {"method": 6}, (80, 95, 98)),
    "JPEG": ("JPEG", {"optimize": True}, (75, 90, 95)),
}
COLUMNS = ("bits per pixel", "times smaller", "PSNR", "SSIM", "length", "found", "Dice", "s")
FORMATS = ("{:.3f}", "{:.1f}", "{:.2f}", "{:.4f}", "{:.3f}", "{:.3f}", "{:.3f}", "{:.2f}")


class Row(NamedTuple):
    """Means over the photographs, in the order of `COLUMNS`."""

    method: str
    quality: int
    values: list[float]

    def __str__(self) -> str:
        cells = [form.format(x) for form, x in zip(FORMATS, self.values, strict=True)]
        return f"| {' | '.join([f'{self.method}, quality {self.quality}', *cells])} |"


def rows(images: Sequence[Image.Image], vessels: Any, wanted: Sequence[str]) -> Iterator[Row]:
    """Each method at each of its qualities; only the ``wanted`` rows if any."""
    truths = [vessels.predict(image).mask for image in images]
    for method, (kind, settings, qualities) in METHODS.items():
        if kind == "JXL" and not _has_jpeg_xl():
            continue
        if kind == "AVIF":
            settings = {**settings, "max_threads": 1}
        for quality in qualities:
            if wanted and f"{method} {quality}" not in wanted:
                continue
            found = []
            for image, truth in zip(images, truths, strict=True):
                file, start = io.BytesIO(), time.process_time()
                image.save(file, kind, quality=quality, **settings)
                seconds = time.process_time() - start
                found.append([*score(image, truth, file.getvalue(), vessels), seconds])
            yield Row(method, quality, np.mean(found, axis=0).tolist())


def score(image: Image.Image, truth: np.ndarray, data: bytes, vessels: Any) -> list[float]:
    """What `COLUMNS` has of one file, without the time."""
    copy = decode(data)
    mask = vessels.predict(copy).mask
    length, dice = vessels_kept(truth, mask)
    rate = 8 * len(data) / image.width / image.height
    scores = image_scores(to_tensor(copy)[None], to_tensor(image)[None])
    found = skeletonize(mask).sum() / skeletonize(truth).sum()
    return [rate, 24 / rate, *map(float, scores.values()), length, float(found), dice]


def _has_jpeg_xl() -> bool:
    try:
        importlib.import_module("pillow_jxl")
    except ImportError:
        print("pillow-jxl-plugin is not installed: no JPEG XL", file=sys.stderr)
        return False
    return True


def draw(made: Sequence[Row], title: str, path: Path) -> None:
    """PSNR and vessel length kept over the size, one line for each method."""
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 4), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, column, label in zip(
            panels, (2, 4), ("PSNR in dB", "vessel length kept"), strict=True
        ):
            for method in dict.fromkeys(r.method for r in made):
                points = [(r.values[0], r.values[column]) for r in made if r.method == method]
                axes.plot(*zip(*points, strict=True), "o-", label=method, ms=3)
            axes.set(xscale="log", xlabel="bits per pixel", ylabel=label)
        panels[1].set_ylim(0.85, 1)  # below, too little is left to choose by
        panels[1].axhline(0.98, color="0.5", lw=1, ls="--")
        panels[1].legend()
        figure.suptitle(title)
        figure.savefig(path)


def main() -> None:
    """Print the table, and draw it if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data_dir", type=Path, required=True, help="in the layout of DRIVE")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--vessels", type=Path, default=VESSELS, help="finds the vessels")
    parser.add_argument("--rows", nargs="*", default=(), help='only these, such as "compress 90"')
    parser.add_argument("--figure", type=Path, help="PNG or SVG to write")
    parser.add_argument("--images", type=int, help="only the first photographs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.split == "test":
        files = find_photographs(options.data_dir).splits["test"]
    else:
        files = training_split(options.data_dir, val_size=4, seed=42)[1]
    pixels = [read_image(file.image, "RGB") for file in files[: options.images]]
    images = [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in pixels]
    print(f"| method | {' | '.join(COLUMNS)} |\n{'|---' * (len(COLUMNS) + 1)}|")
    made = []
    for row in rows(images, load(options.vessels, device="cpu"), options.rows):
        made.append(row)
        print(row, flush=True)
    if options.figure:
        title = f"DRIVE, {len(images)} photographs ({options.split}) at their own size"
        draw(made, title, options.figure)


if __name__ == "__main__":
    main()
