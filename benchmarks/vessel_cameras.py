"""A vessel segmenter on photographs as other cameras might take them.

    python benchmarks/vessel_cameras.py pretrained/vessels_best.ckpt --data_dir ../shared/data/DRIVE

The validation images of the checkpoint's own split, changed by a seed; Dice inside the field of
view, pooled: with the probabilities as they are; with the checkpoint's expected share of vessel;
with the share that the training masks have, which another camera's user does not know; and at the
best threshold for each camera, which only its labels would tell. All but DRIVE's own are magnified,
and so count as another camera's. Real cameras differ in other ways, too, and so do those who draw
masks of their photographs. Prints Markdown.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))
from vessel_views import THRESHOLDS, dice, given, masks, within

Pixels = np.ndarray  # float64 (H, W, 3), 0 to 255
Draw = np.random.Generator


def _blurred(x: Pixels, sigma: float) -> Pixels:
    return ndimage.gaussian_filter(x, (sigma, sigma, 0))


def _large(x: Pixels, by: float = 1.3) -> Pixels:
    return ndimage.zoom(x, (by, by, 1), order=1)


def _dark(x: Pixels) -> Pixels:
    return 255 * (x / 255) ** 1.4


def _noisy(x: Pixels, draw: Draw, deviation: float = 10) -> Pixels:
    return x + deviation * draw.standard_normal(x.shape)


def _mixed(x: Pixels) -> Pixels:
    return x @ np.array([[0.9, 0.1, 0], [0.1, 0.8, 0.1], [0, 0.1, 0.9]])


def _flat(x: Pixels) -> Pixels:
    middle = x.mean((0, 1))
    return (x - middle) * 0.5 + middle


CAMERAS: dict[str, Callable[[Pixels, Draw], Pixels]] = {
    "DRIVE's own": lambda x, draw: x,
    "larger": lambda x, draw: _large(x),
    "larger, dark, noisy": lambda x, draw: _noisy(_dark(_large(x, 1.5)), draw, 8),
    "larger, soft, other colors": lambda x, draw: _mixed(_blurred(_large(x, 1.75), 1)),
    "softer": lambda x, draw: _blurred(_large(x), 1.6),
    "oversharpened": lambda x, draw: (y := _large(x)) + 2 * (y - _blurred(y, 2)),
    "noisy": lambda x, draw: _noisy(_large(x), draw),
    "dark": lambda x, draw: _dark(_large(x)),
    "of half the contrast": lambda x, draw: _noisy(_flat(_large(x)), draw, 4),
}


def main() -> None:
    """Print the table."""
    model, trained, held_out = given(__doc__ or "")
    own = model.inference
    share = round(float(within(*masks(trained)).mean()), 3)
    truths, inside = masks(held_out)
    truth = within(truths, inside)
    shares = list(dict.fromkeys((None, own.expected_vessel_fraction, share)))
    print(f"{len(held_out)} validation images; threshold {own.threshold}\n")
    columns = ["as it is", *(f"expecting {s:.1%}" for s in shares if s), "best threshold"]
    print(f"| camera | {' | '.join(columns)} |\n" + "|---" * (len(columns) + 1) + "|")
    for name, camera in CAMERAS.items():
        found = []
        for expected in shares:
            model.inference, maps = replace(own, expected_vessel_fraction=expected), []
            for place, files in enumerate(held_out):
                with Image.open(files.image) as file:
                    pixels = np.asarray(file.convert("RGB"), np.float64)
                changed = camera(pixels, np.random.default_rng(place)).clip(0, 255)
                result = model.predict(changed.round().astype(np.uint8))
                zoom = [n / m for n, m in zip(pixels.shape, result.probability.shape, strict=False)]
                maps.append(ndimage.zoom(result.probability, zoom, order=1))
            found.append(within(maps, inside))
        scores = [dice(p > own.threshold, truth) for p in found]
        scores.append(max(dice(found[0] > t, truth) for t in THRESHOLDS))
        print(f"| {name} | " + " | ".join(f"{score:.4f}" for score in scores) + " |", flush=True)


if __name__ == "__main__":
    main()
