"""A vessel segmenter on photographs as other cameras might take them.

    python benchmarks/vessel_cameras.py pretrained/vessels_best.ckpt --data_dir ../shared/data/DRIVE

Simulated cameras change the validation images of the checkpoint's own split, with a fixed seed. The
score is Dice inside the field of view, pooled over all pixels: at the checkpoint's threshold and at
the best one for each camera, which needs its labels. Prints Markdown.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_masks import read_mask
from datamodules.fundus_splits import training_split
from datamodules.images import read_image
from datamodules.transforms.field_of_view import estimate_fov
from inference import load

Pixels = np.ndarray  # float64 (H, W, 3), 0 to 255
THRESHOLDS = np.arange(0.1, 0.9, 0.01)


def blurred(x: Pixels, sigma: float) -> Pixels:
    """Gaussian blur, ``sigma`` in pixels."""
    return ndimage.gaussian_filter(x, (sigma, sigma, 0))


def magnified(x: Pixels, factor: float = 1.3) -> Pixels:
    """Bilinear interpolation."""
    return ndimage.zoom(x, (factor, factor, 1), order=1)


def darkened(x: Pixels) -> Pixels:
    """Gamma of 1.4."""
    return 255 * (x / 255) ** 1.4


def noisy(x: Pixels, rng: np.random.Generator, std: float = 10) -> Pixels:
    """Gaussian noise."""
    return x + std * rng.standard_normal(x.shape)


def flat(x: Pixels) -> Pixels:
    """Half the contrast."""
    return (x + x.mean((0, 1))) / 2


COLORS = np.array([[0.9, 0.1, 0], [0.1, 0.8, 0.1], [0, 0.1, 0.9]])  # of other color filters
CAMERAS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "DRIVE's own": lambda x, rng: x,
    "larger": lambda x, rng: magnified(x),
    "larger, dark, noisy": lambda x, rng: noisy(darkened(magnified(x, 1.5)), rng, 8),
    "larger, soft, other colors": lambda x, rng: blurred(magnified(x, 1.75), 1) @ COLORS,
    "softer": lambda x, rng: blurred(magnified(x), 1.6),
    "oversharpened": lambda x, rng: (y := magnified(x)) + 2 * (y - blurred(y, 2)),
    "noisy": lambda x, rng: noisy(magnified(x), rng),
    "dark": lambda x, rng: darkened(magnified(x)),
    "of half the contrast": lambda x, rng: noisy(flat(magnified(x)), rng, 4),
}


def dice(called: np.ndarray, truth: np.ndarray) -> float:
    """Dice of two masks of any shape."""
    return 2 * float((called & truth).sum()) / float(called.sum() + truth.sum())


def drawn(files: FundusFiles) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """First and second observer's vessels, and the field of view, bool ``(H, W)``."""
    pixels = read_image(files.image, "RGB")
    size = pixels.shape[-2:]
    assert files.vessels is not None, f"{files.image}: no drawn vessels"
    first = read_mask(files.vessels, files.image, size)[0].numpy()
    second = files.second and read_mask(files.second, files.image, size)[0].numpy()
    if files.fov is None:
        return first, second, estimate_fov(pixels.permute(1, 2, 0).numpy())
    return first, second, read_mask(files.fov, files.image, size, full=True)[0].numpy()


def within(maps: Sequence[np.ndarray], inside: Sequence[np.ndarray]) -> np.ndarray:
    """Values of all maps inside their fields of view, concatenated."""
    return np.concatenate([one[i] for one, i in zip(maps, inside, strict=True)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--data_dir", type=Path, required=True, help="in the layout of DRIVE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load(options.checkpoint, device="cpu", precision="32-true")
    split = {key: model.trained.data.get(key) for key in ("val_size", "seed", "folds", "fold")}
    _, held_out = training_split(options.data_dir, *split.values())
    threshold = model.inference.threshold
    truths, _, inside = zip(*map(drawn, held_out), strict=True)
    truth = within(truths, inside)
    print(f"{len(held_out)} validation images\n")
    print(f"| camera | Dice at {threshold:g} | best | at | vessel fraction | drawn |")
    print("|---" * 6 + "|")
    for name, camera in CAMERAS.items():
        maps = []
        for place, files in enumerate(held_out):
            with Image.open(files.image) as file:
                pixels = np.asarray(file.convert("RGB"), np.float64)
            changed = camera(pixels, np.random.default_rng(place)).clip(0, 255)
            probability = model.predict(changed.round().astype(np.uint8)).probability
            zoom = [n / m for n, m in zip(pixels.shape, probability.shape, strict=False)]
            maps.append(ndimage.zoom(probability, zoom, order=1))
        p = within(maps, inside)
        best, at = max((dice(p > t, truth), t) for t in THRESHOLDS)
        scores = f"{dice(p > threshold, truth):.4f} | {best:.4f} | {at:.2f}"
        fractions = f"{(p > threshold).mean():.3f} | {truth.mean():.3f}"
        print(f"| {name} | {scores} | {fractions} |", flush=True)


if __name__ == "__main__":
    main()
