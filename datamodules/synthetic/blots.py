"""The built-in sample of Western blots: drawn, not measured.

In the layout of the course set. Each membrane is one large drawing (lanes, bands of varying width,
intensity and smile, smear, uneven background, noise) from which overlapping crops are cut, as with
real membranes, so that a split by membrane matters here too.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import find_objects, gaussian_filter, label

MEMBRANES = 12
CROPS = 8  # of each membrane
SIZE = 64  # pixels
BAND, PAPER = 0, 255  # gray values of the templates


def draw_sample(folder: Path, seed: int) -> None:
    """Write 96 triples as ``wb_dataset``, ``wb_template``, ``wb_template2`` and ``groups.csv``."""
    for name in ("wb_dataset", "wb_template", "wb_template2"):
        (folder / name).mkdir()
    with (folder / "groups.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["ID", "membrane"])
        for membrane in range(MEMBRANES):
            rng = np.random.default_rng([seed, membrane])
            blot, mask = draw_membrane(rng)
            for crop in range(CROPS):
                window = draw_window(rng, mask)
                name = f"bg_{membrane * CROPS + crop + 1:04d}"
                _save(blot[window], folder / "wb_dataset" / f"{name}.png")
                bands, boxes = templates(mask[window])
                _save(bands, folder / "wb_template" / f"BandMask_{name}.png")
                _save(boxes, folder / "wb_template2" / f"BasePattern_{name}.png")
                table.writerow([name, membrane])


def draw_membrane(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One membrane: gray values 0 to 255 ``(96, 224)``, and where its bands are (bool)."""
    y, x = np.mgrid[0:96, 0:224].astype(float)
    density = np.zeros_like(x)
    lane_width = rng.uniform(22, 44)
    smile, tilt = rng.normal(0, 1.5), rng.normal(0, 0.03)
    for row in np.cumsum(rng.uniform([10, 16, 16], [45, 34, 34]))[: rng.integers(1, 4)]:
        thickness = rng.uniform(2.5, 8)
        for lane in np.arange(lane_width / 2, 224, lane_width):
            strength = rng.beta(2, 1.2) * (rng.random() > 0.1)
            width = lane_width * rng.uniform(0.28, 0.46)
            u = (x - lane - rng.normal(0, 1)) / width
            v = (y - row - rng.normal(0, 0.7) - smile * u**2 - tilt * (x - 112)) / thickness
            band = np.exp(-(np.abs(u) ** 4) - np.abs(v) ** rng.uniform(2, 3.5))
            smear = np.exp(-(np.abs(u) ** 4) - np.abs(v / rng.uniform(2, 6)))
            density += strength * (band + rng.uniform(0, 0.12) * smear)
    mask = density > 0.3
    paper = rng.uniform(150, 235) + rng.uniform(2, 10) * _cloud(rng, x.shape, 18)
    streaks = rng.uniform(0, 3) * _cloud(rng, x.shape, (0.6, 30))
    grain = rng.uniform(0.5, 5) * _cloud(rng, x.shape, rng.uniform(0.3, 1.1))
    ink = 1 - np.exp(-rng.uniform(1, 3) * gaussian_filter(density, 0.8))
    blot = paper * (1 - rng.uniform(0.55, 0.95) * ink) + streaks + grain
    return blot, mask


def draw_window(rng: np.random.Generator, mask: np.ndarray) -> tuple[slice, slice]:
    """A crop that shows bands: an empty one has nothing to make a blot of."""
    while True:
        top, left = (rng.integers(side - SIZE + 1) for side in mask.shape)
        window = np.s_[top : top + SIZE, left : left + SIZE]
        if mask[window].mean() > 0.03:
            return window


def templates(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two templates of a crop: its bands, and the bands straightened to rectangles."""
    bands = np.where(mask, BAND, PAPER)
    boxes = np.full_like(bands, PAPER)
    for box in find_objects(label(mask)[0]):
        boxes[box] = BAND
    return bands, boxes


def _cloud(rng: np.random.Generator, shape: tuple, sigma: float | tuple) -> np.ndarray:
    noise = gaussian_filter(rng.standard_normal(shape), sigma)
    return noise / noise.std()


def _save(values: np.ndarray, path: Path) -> None:
    Image.fromarray(values.clip(0, 255).round().astype(np.uint8)).save(path)
