"""The built-in AOI sample: gray panels drawn by this program, not photographs.

Modelled on the public AIdea set: what each class looks like, its file layout and its uneven class
sizes. Level, contrast, grain and illumination vary over every class, and each defect has its own
place, size, sign and strength, so that no single pixel tells the class (a linear classifier on raw
pixels fails). A figure measured on it says that the program works, and nothing about real panels.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.special import expit

SIZE = 256  # pixels; the real images have 512
# Images per class 0..5 (normal, void, horizontal, vertical, edge, particle).
COUNTS = {"train": (128, 104, 56, 88, 72, 112), "test": (23, 19, 10, 16, 12, 20)}
NEAR = (0.25, 0.5, 0, 0, 0, 0.5)  # share of each class that is seen from near

Rng = np.random.Generator
Field = np.ndarray  # float32 (SIZE, SIZE)


def draw_sample(folder: Path, seed: int) -> None:
    """Write ``train.csv``, ``test.csv`` (``ID,Label``), ``train_images/``, ``test_images/``.

    8-bit gray PNG; ``Label`` is 0-5, in ``test.csv`` too, whose labels the public release keeps
    back: so ``test`` has something to score. The same seed gives the same bytes.
    """
    for stream, (split, counts) in enumerate(COUNTS.items()):
        rng = np.random.default_rng([seed, stream])
        labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        images = folder / f"{split}_images"
        images.mkdir(parents=True)
        with (folder / f"{split}.csv").open("w", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("ID", "Label"))
            for number, label in enumerate(labels):
                name = f"{split}_{number:05d}.png"
                panel = Image.fromarray(draw_panel(int(label), rng))
                panel.save(images / name, compress_level=1)
                rows.writerow((name, label))


def draw_panel(label: int, rng: Rng) -> np.ndarray:
    """One panel of class ``label``, uint8 ``(SIZE, SIZE)``."""
    # A void or a particle is often seen from near: the grain of the panel is coarse then.
    near = rng.random() < NEAR[label]
    grain = rng.uniform(4, 10) if near else rng.uniform(1, 2)
    contrast = rng.uniform(4, 20) if near else rng.uniform(3, 8)
    weave = _cloud(rng, grain, grain * rng.uniform(1, 2)) + 0.5 * _cloud(rng, 4 * grain, 5 * grain)
    weave = np.exp(0.35 * weave) / 0.35 - 3  # bright flecks, no dark ones
    panel = rng.uniform(130, 185) + contrast * weave + _illumination(rng)
    panel = _add_defect(label, panel, contrast, rng)
    panel += rng.uniform(0.5, 4) * rng.standard_normal(panel.shape, dtype=np.float32)
    return panel.clip(0, 255).astype(np.uint8)


def _add_defect(label: int, panel: Field, contrast: float, rng: Rng) -> Field:
    if label == 3:  # vertical
        return _horizontal(panel.T, contrast, rng).T
    defects = {1: _void, 2: _horizontal, 4: _edge, 5: _particle}
    return defects[label](panel, contrast, rng) if label else panel


def _void(panel: Field, contrast: float, rng: Rng) -> Field:
    """Bright cloudy blob, streaked, with a soft ragged rim."""
    radius = rng.uniform(0.12, 0.3) * SIZE
    distance = _distance(rng, radius, radius * rng.uniform(0.75, 1), margin=0.2)
    inside = expit((1 - distance + 0.2 * _cloud(rng, 25, 25)) * 6)
    streaks = 1 + 0.4 * _cloud(rng, 6, 14)
    return panel + (12 + rng.uniform(2, 4.5) * contrast) * inside * streaks


def _horizontal(panel: Field, contrast: float, rng: Rng) -> Field:
    """Faint to strong band across the panel: a bright or dark line, or a step in level."""
    course = rng.uniform(0.1, 0.9) * SIZE + rng.uniform(0, 3) * _wander(rng)
    width = np.exp(rng.uniform(np.log(2), np.log(14))) * np.exp(0.2 * _wander(rng))
    across = (np.arange(SIZE)[:, None] - course) / width
    strength = (6 + rng.uniform(1.2, 4.5) * contrast) * (1 + 0.2 * _wander(rng))
    band = np.exp(-(across**2)) if rng.random() < 0.7 else expit(4 * across) - 0.5
    return panel + rng.choice((-1, 1)) * strength * band


def _edge(panel: Field, contrast: float, rng: Rng) -> Field:
    """Bright, rougher margin with a ragged border, at the left or the right."""
    border = rng.uniform(0.06, 0.25) * SIZE + rng.uniform(2, 10) * _wander(rng)
    border = border + rng.uniform(0.5, 2) * rng.standard_normal(SIZE)
    outside = expit(border[:, None] - np.arange(SIZE))
    margin = outside * (10 + rng.uniform(1, 6) * contrast + 0.8 * (panel - panel.mean()))
    return panel + (margin if rng.random() < 0.5 else margin[:, ::-1])


def _particle(panel: Field, contrast: float, rng: Rng) -> Field:
    """Small dark spot with a faint bright ring."""
    radius = np.exp(rng.uniform(np.log(5), np.log(14)))
    distance = _distance(rng, radius * rng.uniform(1, 1.8), radius, margin=0.1)
    distance = distance * np.exp(0.2 * _cloud(rng, 12, 12))
    spot = np.exp(-(distance**2)) - 0.25 * np.exp(-((distance - 1.8) ** 2) * 4)
    return panel - (15 + rng.uniform(4, 8) * contrast) * spot


def _cloud(rng: Rng, height: float, width: float) -> Field:
    """Smooth noise, mean 0 and deviation 1, with grains of about ``height`` x ``width`` pixels."""
    rows, columns = int(SIZE / height) + 3, int(SIZE / width) + 3
    noise = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    field = np.asarray(noise.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return (field - field.mean()) / field.std()


def _illumination(rng: Rng) -> Field:
    """A slope of light and faint shadows over the panel, in gray levels."""
    y, x = np.mgrid[-0.5 : 0.5 : SIZE * 1j, -0.5 : 0.5 : SIZE * 1j].astype(np.float32)
    slope = rng.normal(0, 12, 2)
    return slope[0] * y + slope[1] * x + rng.uniform(0, 3) * _cloud(rng, 90, 90)


def _wander(rng: Rng) -> np.ndarray:
    """A smooth random course along one side, ``(SIZE,)``, deviation about 1."""
    knots = rng.standard_normal(rng.integers(4, 14))
    course = Image.fromarray(knots[None].astype(np.float32))
    return np.asarray(course.resize((SIZE, 1), Image.Resampling.BICUBIC))[0]


def _distance(rng: Rng, width: float, height: float, margin: float) -> Field:
    """Distance in radii from a random center, elliptic and tilted."""
    centre_y, centre_x = rng.uniform(margin, 1 - margin, 2) * SIZE
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    y, x = y - np.float32(centre_y), x - np.float32(centre_x)
    along = (x * np.cos(angle) + y * np.sin(angle)) / width
    across = (y * np.cos(angle) - x * np.sin(angle)) / height
    return np.hypot(along, across)
