"""A vessel segmenter on photographs as other cameras might take them, with and without a share.

    python benchmarks/vessel_cameras.py pretrained/vessels_best.ckpt --data_dir ../shared/data/DRIVE

The validation images of the checkpoint's own split, changed by a seed; Dice inside the field of
view, pooled: at the checkpoint's threshold; with ``model.inference.vessel_share`` of the training
masks; and at the best threshold for each camera, which only its labels would tell. Real cameras
differ in other ways, too. Prints Markdown.
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


def _magnified(x: Pixels, draw: Draw) -> Pixels:
    """1.5 times, darker, with noise."""
    large = ndimage.zoom(x, (1.5, 1.5, 1), order=1)
    return 255 * (large / 255) ** 1.4 + 8 * draw.standard_normal(large.shape)


def _mixed(x: Pixels, draw: Draw) -> Pixels:
    """1.75 times, softer, with other colors."""
    large = _blurred(ndimage.zoom(x, (1.75, 1.75, 1), order=1), 1)
    return large @ np.array([[0.9, 0.1, 0], [0.1, 0.8, 0.1], [0, 0.1, 0.9]])


def _flat(x: Pixels, draw: Draw) -> Pixels:
    middle = x.mean((0, 1))
    return (x - middle) * 0.5 + middle + 3 * draw.standard_normal(x.shape)


CAMERAS: dict[str, Callable[[Pixels, Draw], Pixels]] = {
    "DRIVE's own": lambda x, draw: x,
    "magnified, dark, noisy": _magnified,
    "magnified, soft, other colors": _mixed,
    "soft": lambda x, draw: _blurred(x, 1.2),
    "oversharpened": lambda x, draw: x + 2 * (x - _blurred(x, 1.5)),
    "noisy": lambda x, draw: x + 8 * draw.standard_normal(x.shape),
    "dark": lambda x, draw: 255 * (x / 255) ** 1.4,
    "of half the contrast": _flat,
}


def main() -> None:
    """Print the table."""
    model, trained, held_out = given(__doc__ or "")
    own = model.inference
    share = round(float(within(*masks(trained)).mean()), 3)
    truths, inside = masks(held_out)
    truth = within(truths, inside)
    print(f"{len(held_out)} validation images; threshold {own.threshold}, share {share}\n")
    print("| camera | as it is | with the share | at its best threshold |\n|---|---|---|---|")
    for name, camera in CAMERAS.items():
        found = []
        for inference in (own, replace(own, vessel_share=share)):
            model.inference, maps = inference, []
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
