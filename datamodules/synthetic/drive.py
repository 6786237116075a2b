"""Fundus-like drawings with exact vessel masks, in the official layout of DRIVE."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

HEIGHT, WIDTH = 292, 282  # half the size of DRIVE
RADIUS = 0.478 * WIDTH  # of the field of view
COUNTS = {"training": (21, 10), "test": (1, 4)}  # the first number, and how many
FINE = 4  # vessels are drawn on a grid this much finer, then averaged down
THINNEST = 0.45  # radius of a vessel in px


def draw_sample(folder: Path, seed: int) -> None:
    """Write the `COUNTS` of drawings with their masks below ``folder``."""
    for split, (first, count) in COUNTS.items():
        for number in range(first, first + count):
            photograph, vessels, fov = draw_eye(np.random.default_rng([seed, number]))
            for name, pixels in (
                (f"images/{number:02d}_{split}.tif", photograph),
                (f"1st_manual/{number:02d}_manual1.gif", vessels * np.uint8(255)),
                (f"mask/{number:02d}_{split}_mask.gif", fov * np.uint8(255)),
            ):
                path = folder / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)


def draw_eye(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One drawing: RGB uint8 ``(H, W, 3)``, and bool ``(H, W)`` vessels and field of view."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    center = np.array([WIDTH / 2, HEIGHT / 2]) + rng.uniform(-2, 2, 2)
    away = np.hypot(x - center[0], y - center[1]) / RADIUS
    fov = away <= 1
    temporal = rng.choice([-1, 1])  # right or left eye
    disc = center + RADIUS * np.array([-temporal * rng.uniform(0.5, 0.66), rng.uniform(-0.1, 0.1)])
    fovea = disc + RADIUS * np.array([temporal * rng.uniform(0.8, 0.92), rng.uniform(0.02, 0.1)])
    veins, arteries = (_draw_tree(rng, disc, fovea, thickest) for thickest in (2.0, 1.5))
    slope = ((x - center[0]) * rng.uniform(-1, 1) + (y - center[1])) / RADIUS
    clouds = gaussian_filter(rng.standard_normal(x.shape), 14)
    light = (1 - 0.34 * away**2.5) * (1 + 0.14 * slope) * (1 + 0.035 * clouds / clouds.std())
    picture = np.array([rng.uniform(200, 245), rng.uniform(95, 125), rng.uniform(45, 75)])
    picture = picture * light.clip(0.2)[..., None]
    shade = np.exp(-((x - fovea[0]) ** 2 + (y - fovea[1]) ** 2) / (2 * (0.12 * RADIUS) ** 2))
    picture *= 1 - np.array([0.3, 0.5, 0.5]) * shade[..., None]
    rim = 1 / (1 + np.exp(np.hypot((x - disc[0]) / 0.9, y - disc[1]) - 0.135 * RADIUS))
    picture += (np.array([225, 185, 120]) - picture) * 0.85 * rim[..., None]
    # Blood absorbs green most, and thin vessels hold less of it.
    for coverage, depth in ((arteries, [0.14, 0.4, 0.28]), (veins, [0.24, 0.52, 0.36])):
        thick = (1.6 * gaussian_filter(coverage, 1.5)).clip(0.5, 1)
        picture *= 1 - np.array(depth) * (thick * gaussian_filter(coverage, 0.6))[..., None]
    picture = gaussian_filter(picture * fov[..., None], (0.5, 0.5, 0))
    picture += rng.normal(0, 2.5, picture.shape) * (0.25 + 0.75 * fov[..., None])
    vessels = (np.maximum(arteries, veins) >= 0.5) & fov
    return (picture + 2).clip(0, 255).astype(np.uint8), vessels, fov


def _draw_tree(
    rng: np.random.Generator, disc: np.ndarray, fovea: np.ndarray, thickest: float
) -> np.ndarray:
    """The fraction of each pixel that arteries or veins cover, float32 ``(H, W)``.

    They leave the disc, ``thickest`` px in radius, branch and spare the fovea.
    """
    canvas = Image.new("L", (WIDTH * FINE, HEIGHT * FINE))
    pen = ImageDraw.Draw(canvas)

    def grow(at: np.ndarray, heading: float, goal: float, radius: float) -> None:
        """A vessel in steps of half a pixel, which turns towards ``goal``, and its branches."""
        turn, side, until = 0.0, rng.choice([-1, 1]), rng.uniform(10, 30)
        while radius > THINNEST and np.hypot(*(at - fovea)) > 0.13 * RADIUS:
            turn = 0.95 * turn + rng.normal(0, 0.0035)
            heading += turn + 0.006 * np.sin(goal - heading)
            at = at + 0.5 * np.array([np.cos(heading), np.sin(heading)])
            radius *= 0.9975
            x, y, r = FINE * (at[0] + 0.5), FINE * (at[1] + 0.5), FINE * radius
            pen.ellipse([x - r, y - r, x + r, y + r], fill=1)
            until -= 0.5
            if until < 0:
                branch = heading + side * rng.uniform(0.4, 1.0)
                grow(at, branch, branch, radius * rng.uniform(0.4, 0.75))
                side, until = -side, rng.uniform(14, 34)

    temporal = 0.0 if fovea[0] > disc[0] else np.pi
    for up in (-1, 1):
        # An arcade around the fovea, a trunk to the nose, and a twig towards the fovea.
        nasal, twig = temporal + np.pi + up * rng.uniform(0.3, 0.9), up * rng.uniform(0.3, 0.7)
        grow(disc, up * np.pi / 2 + rng.uniform(-0.2, 0.2), temporal, thickest)
        grow(disc, nasal, nasal, 0.75 * thickest)
        grow(disc, temporal + twig, temporal + twig, 0.85)
    return np.asarray(canvas, np.float32).reshape(HEIGHT, FINE, WIDTH, FINE).mean(axis=(1, 3))
