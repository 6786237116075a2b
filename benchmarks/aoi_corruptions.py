"""Accuracy of an AOI classifier on panels under bad light, lenses, belts and file formats.

    python benchmarks/aoi_corruptions.py runs/aoi_best/<run> --data_dir ../shared/data/NEU

The validation images of each checkpoint's own split, damaged at their native size before anything
else, by a seed. "Trained" are kinds that `datamodules.transforms.PanelCorruption` has too, "new"
kinds that no training sees. Prints a Markdown table with Wilson's 95 % intervals; of several
checkpoints a column each. ``--views 1 2 4`` sets how many views each of them sees.
"""

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules import AOIDataModule
from experiment.report import wilson_interval
from inference import load

Pixels = np.ndarray  # float64 (H, W), 0 to 255
Draw = np.random.Generator
LIMIT = 255.0


def _field(draw: Draw, shape: tuple[int, ...], cells: int) -> Pixels:
    """A smooth random field of mean 0, in -1 to 1."""
    coarse = draw.uniform(-1, 1, (cells, cells))
    return ndimage.zoom(coarse, [n / cells for n in shape], order=3, mode="nearest")[
        : shape[0], : shape[1]
    ]


def _grid(x: Pixels) -> Pixels:
    """Rows and columns of the pixels, float ``(2, H, W)``."""
    return np.mgrid[: x.shape[0], : x.shape[1]].astype(float)


def _from_center(x: Pixels) -> Pixels:
    """Rows and columns of the pixels in -1 to 1."""
    return np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in x.shape), indexing="ij"))


def _moved(x: Pixels, places: Pixels) -> Pixels:
    return ndimage.map_coordinates(x, places, order=1, mode="reflect")


def _gradient(x: Pixels, draw: Draw) -> Pixels:
    angle = draw.uniform(0, 2 * np.pi)
    y, z = _from_center(x)
    plane = np.cos(angle) * y + np.sin(angle) * z
    return x + 60 * plane / np.abs(plane).max()


def _motion(x: Pixels, draw: Draw) -> Pixels:
    """A straight path of 9 px."""
    kernel = np.zeros((9, 9))
    kernel[4] = 1
    turned = ndimage.rotate(kernel, draw.uniform(0, 180), reshape=False, order=1)
    return ndimage.convolve(x, turned / turned.sum(), mode="reflect")


def _defocus(x: Pixels, draw: Draw) -> Pixels:
    y, z = np.mgrid[-3:4, -3:4]
    disk = (y**2 + z**2 <= 9).astype(float)
    return ndimage.convolve(x, disk / disk.sum(), mode="reflect")


def _by_pillow(change: Callable[[Image.Image], Image.Image]) -> Callable[[Pixels, Draw], Pixels]:
    return lambda x, draw: np.array(change(Image.fromarray(x.astype(np.uint8))), float)


def _coded(form: str, quality: int) -> Callable[[Pixels, Draw], Pixels]:
    def code(x: Pixels, draw: Draw) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(x.clip(0, LIMIT).astype(np.uint8)).save(buffer, form, quality=quality)
        return np.array(Image.open(buffer).convert("L"), float)

    return code


def _pixelated(image: Image.Image) -> Image.Image:
    return image.resize([n // 3 for n in image.size], Image.BOX).resize(image.size, Image.NEAREST)


def _impulses(x: Pixels, draw: Draw) -> Pixels:
    struck = draw.uniform(size=x.shape)
    return np.where(struck < 0.015, 0, np.where(struck > 0.985, LIMIT, x))


def _patch(x: Pixels, draw: Draw) -> Pixels:
    side = x.shape[0] // 6
    top, left = draw.integers(0, x.shape[0] - side), draw.integers(0, x.shape[1] - side)
    x = x.copy()
    x[top : top + side, left : left + side] = draw.uniform(0, LIMIT)
    return x


def _fog(x: Pixels, draw: Draw) -> Pixels:
    """Veils of light that hide up to half of the contrast."""
    veil = 0.5 * (_field(draw, x.shape, 6) + 1) / 2
    return x * (1 - veil) + 230 * veil


def _elastic(x: Pixels, draw: Draw) -> Pixels:
    shift = np.stack([4 * _field(draw, x.shape, 7) for _ in range(2)])
    return _moved(x, _grid(x) + shift)


def _interlaced(x: Pixels, draw: Draw) -> Pixels:
    """Every other row was taken 3 px further along the belt."""
    x = x.copy()
    x[1::2] = np.roll(x[1::2], 3, axis=1)
    return x


def _ghost(x: Pixels, draw: Draw) -> Pixels:
    """A reflection of the panel, shifted."""
    return 0.7 * x + 0.3 * np.roll(x, (11, 17), axis=(0, 1))


def _scratches(x: Pixels, draw: Draw) -> Pixels:
    """Three bright hairs on the lens."""
    x = x.copy()
    steps = np.linspace(0, 1, 4 * max(x.shape))
    for _ in range(3):
        start, end = draw.uniform(0, x.shape[0] - 1, (2, 2))
        bend = draw.uniform(-20, 20, 2)
        path = start + (end - start) * steps[:, None] + bend * np.sin(np.pi * steps)[:, None]
        rows, columns = path.round().astype(int).clip(0, x.shape[0] - 1).T
        x[rows, columns % x.shape[1]] = 240
    return x


def _swaying(x: Pixels, draw: Draw) -> Pixels:
    """The belt shakes sideways by 3 px while a line camera looks."""
    rows, columns = _grid(x)
    return _moved(x, np.stack([rows, columns + 3 * np.sin(rows / 5 + draw.uniform(0, 2 * np.pi))]))


def _moire(x: Pixels, draw: Draw) -> Pixels:
    """The sum of two screens, of 18 gray levels each."""
    rows, columns = _grid(x)
    for period in draw.uniform(3, 9, 2):
        angle = draw.uniform(0, np.pi)
        along = np.cos(angle) * rows + np.sin(angle) * columns
        x = x + 18 * np.sin(2 * np.pi * along / period)
    return x


def _dithered(x: Pixels, draw: Draw) -> Pixels:
    """Four gray levels, by thresholds that vary at random."""
    return np.floor(x / LIMIT * 3 + draw.uniform(0, 1, x.shape)).clip(0, 3) / 3 * LIMIT


def _barrel(x: Pixels, draw: Draw) -> Pixels:
    places = _grid(x)
    middle = (np.array(x.shape) / 2)[:, None, None]
    away = (places - middle) / middle
    return _moved(x, middle + away * middle * (0.8 + 0.2 * (away**2).sum(0)))


def _dead_lines(x: Pixels, draw: Draw) -> Pixels:
    """Six columns of the sensor are dead or stuck."""
    x = x.copy()
    x[:, draw.integers(0, x.shape[1], 6)] = draw.choice([0, LIMIT], 6)
    return x


def _drops(x: Pixels, draw: Draw) -> Pixels:
    """Ten drops on the lens, each a blurred and lighter disk of 5 to 12 px radius."""
    smooth = ndimage.gaussian_filter(x, 4) + 20
    rows, columns = _grid(x)
    for _ in range(10):
        top, left = draw.uniform(0, x.shape[0], 2)
        inside = (rows - top) ** 2 + (columns - left) ** 2 < draw.uniform(5, 12) ** 2
        x = np.where(inside, smooth, x)
    return x


KINDS: dict[str, dict[str, Callable[[Pixels, Draw], Pixels]]] = {
    "": {"clean": lambda x, draw: x},
    "trained": {
        "noise of 20": lambda x, draw: x + 20 * draw.standard_normal(x.shape),
        "blur of 1.5 px": lambda x, draw: ndimage.gaussian_filter(x, 1.5),
        "contrast, brightness": lambda x, draw: (
            (x - x.mean()) * draw.uniform(0.5, 1.5) + x.mean() + draw.uniform(-50, 50)
        ),
        "gradient of light, 60": _gradient,
        "dark corners": lambda x, draw: x * (1 - 0.35 * (_from_center(x) ** 2).sum(0)),
        "gamma 0.5": lambda x, draw: LIMIT * (x / LIMIT) ** 0.5,
        "gamma 2": lambda x, draw: LIMIT * (x / LIMIT) ** 2,
        "photon noise": lambda x, draw: draw.poisson(x / LIMIT * 60) / 60 * LIMIT,
        "salt and pepper, 3 %": _impulses,
        "row offsets of 12": lambda x, draw: x + 12 * draw.standard_normal((x.shape[0], 1)),
        "motion, 9 px": _motion,
        "defocus, 3 px": _defocus,
        "JPEG, quality 10": _coded("JPEG", 10),
        "pixels of 3x3": _by_pillow(_pixelated),
        "a patch of a sixth": _patch,
        "fog": _fog,
        "oversharpened": _by_pillow(lambda i: i.filter(ImageFilter.UnsharpMask(3, 250, 0))),
        "hairs": _scratches,
        "8 gray levels": lambda x, draw: (x // 32) * 32 + 16,
        "coarse noise": lambda x, draw: (
            x + 15 * ndimage.gaussian_filter(draw.standard_normal(x.shape), 1) * 3.5
        ),
        "negative offsets of columns": lambda x, draw: (
            x - 25 * draw.exponential(1, (1, x.shape[1]))
        ),
        "speckle of 30 %": lambda x, draw: x * (1 + 0.3 * draw.standard_normal(x.shape)),
        "rows that sway": _swaying,
        "moire": _moire,
        "equalized": _by_pillow(ImageOps.equalize),
        "dead lines": _dead_lines,
    },
    "new": {
        "elastic, 4 px": _elastic,
        "interlaced, 3 px": _interlaced,
        "ghost of 30 %": _ghost,
        "WebP, quality 5": _coded("WEBP", 5),
        "bloom": lambda x, draw: x + ndimage.gaussian_filter((x - 128).clip(0), 6),
        "dithered to 4 levels": _dithered,
        "median of 5 px": lambda x, draw: ndimage.median_filter(x, 5),
        "barrel": _barrel,
        "erosion, 3 px": lambda x, draw: ndimage.grey_erosion(x, 3),
        "checkerboard of 15": lambda x, draw: x + 15 * (-1.0) ** np.indices(x.shape).sum(0),
        "drops": _drops,
    },
}


def damaged(
    images: list[Path], kind: Callable[[Pixels, Draw], Pixels], seed: int
) -> Iterator[Pixels]:
    """Gray images uint8 ``(H, W)``, each by a generator of its own place in the list."""
    for place, path in enumerate(images):
        with Image.open(path) as file:
            pixels = np.array(file.convert("L"), float)
        changed = kind(pixels, np.random.default_rng([seed, place]))
        yield changed.clip(0, LIMIT).round().astype(np.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoints", nargs="+", help="runs or checkpoints of one split")
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", nargs="+", type=int, default=[], choices=[1, 2, 4])
    options = parser.parse_args()
    models: list[Any] = [load(path) for path in options.checkpoints]
    for model, views in zip(models, options.views, strict=False):
        model.inference = replace(model.inference, tta=views > 1, views=max(views, 2))
    split = {k: v for k, v in models[0].trained.data.items() if k in ("val_fraction", "seed")}
    names = models[0].class_names
    data = AOIDataModule(str(options.data_dir), class_names=names, num_workers=0, **split)
    data.setup("validate")
    held_out = data.val_set
    images = [options.data_dir / "train_images" / name for name in held_out.names]
    targets = held_out.targets.tolist()
    print(f"{len(images)} validation images, seed {options.seed}\n")
    print("| kind | corruption |" + "".join(f" {Path(p).name} |" for p in options.checkpoints))
    print("|---" * (2 + len(models)) + "|")
    for group, kinds in KINDS.items():
        shares: list[list[float]] = [[] for _ in models]
        for name, kind in kinds.items():
            cells = []
            for model, share in zip(models, shares, strict=True):
                found = model.predict(damaged(images, kind, options.seed))
                labels = [names.index(result.label) for result in found]
                right = int(np.sum(np.equal(labels, targets)))
                low, high = wilson_interval(right, len(targets))
                share.append(right / len(targets))
                cells.append(f"{share[-1]:.1%} ({low:.1%} to {high:.1%})")
            print(f"| {group} | {name} | " + " | ".join(cells) + " |", flush=True)
        if group:
            ends = " | ".join(f"{np.mean(s):.1%}, least {min(s):.1%}" for s in shares)
            print(f"| {group} | **mean of these** | {ends} |", flush=True)


if __name__ == "__main__":
    main()
