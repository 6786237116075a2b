"""Fundus-like drawings with exact vessel masks, in the official layout of DRIVE."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

HEIGHT, WIDTH = 292, 282  # half the size of DRIVE
TRAINING, TEST = 10, 4
FINE = 4  # vessels are drawn on a grid this much finer, then averaged down
Array = np.ndarray


@dataclass
class Vessel:
    """A center line ``(n, 2)`` of x, y in px with a radius at each point."""

    points: Array
    radii: Array
    vein: bool


def draw_sample(folder: Path, seed: int) -> None:
    """Write `TRAINING` and `TEST` drawings with their masks below ``folder``."""
    for split, first, count in (("training", 21, TRAINING), ("test", 1, TEST)):
        for number in range(first, first + count):
            rng = np.random.default_rng([seed, number])
            photograph, vessels, fov = draw_eye(rng)
            stem = f"{number:02d}_{split}"
            _save(photograph, folder / split / "images" / f"{stem}.tif")
            _save(vessels, folder / split / "1st_manual" / f"{number:02d}_manual1.gif")
            _save(fov, folder / split / "mask" / f"{stem}_mask.gif")


def _save(pixels: Array, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == bool:
        Image.fromarray(pixels.astype(np.uint8) * 255).save(path)
    else:
        Image.fromarray(pixels).save(path, compression="tiff_lzw")


def draw_eye(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """One drawing: RGB uint8 ``(H, W, 3)``, and bool ``(H, W)`` vessels and field of view."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    center = np.array([WIDTH / 2, HEIGHT / 2]) + rng.uniform(-2, 2, 2)
    radius = 0.478 * WIDTH
    from_center = np.hypot(x - center[0], y - center[1])
    fov = from_center <= radius
    temporal = int(rng.choice([-1, 1]))  # left or right eye
    disc = center + radius * np.array([-temporal * rng.uniform(0.5, 0.66), rng.uniform(-0.1, 0.1)])
    macula = disc + radius * np.array([temporal * rng.uniform(0.8, 0.92), rng.uniform(0.02, 0.1)])

    tree = grow(rng, Retina(disc, macula, center, radius, temporal, set()))
    arteries = _coverage([v for v in tree if not v.vein])
    veins = _coverage([v for v in tree if v.vein])
    vessels = (np.maximum(arteries, veins) >= 0.5) & fov

    def blob(at: Array, size: float, squash: float = 1.0) -> Array:
        return np.exp(-(((x - at[0]) / squash) ** 2 + (y - at[1]) ** 2) / (2 * size**2))

    def clouds(size: float) -> Array:
        noise = ndimage.gaussian_filter(rng.standard_normal(x.shape), size)
        return noise / noise.std()

    color = np.array([rng.uniform(200, 245), rng.uniform(95, 125), rng.uniform(45, 75)])
    light = 1 - 0.34 * (from_center / radius) ** 2.5
    light *= 1 + 0.14 * ((x - center[0]) * rng.uniform(-1, 1) + (y - center[1])) / radius
    light *= 1 + 0.035 * clouds(14) + 0.02 * clouds(4)
    light = np.clip(light, 0.2, None)
    picture = color * light[..., None]
    dark = 1 - np.array([0.28, 0.42, 0.4]) * blob(macula, 0.13 * radius)[..., None]
    dark -= np.array([0.1, 0.16, 0.2]) * blob(macula, 0.05 * radius)[..., None]
    picture *= dark
    # The disc: a soft-edged bright ellipse, a paler cup in it, a faint halo around.
    size = 0.135 * radius
    away = np.hypot((x - disc[0]) / 0.9, y - disc[1])
    rim = 1 / (1 + np.exp((away - size) / 1.1))
    cup = 1 / (1 + np.exp((np.hypot(x - disc[0] - temporal, y - disc[1]) - 0.5 * size) / 1.5))
    glow = np.array([232, 182, 112]) * light[..., None] ** 0.5
    picture += (glow - picture) * (0.82 * rim + 0.12 * blob(disc, 2 * size))[..., None]
    picture += np.array([14, 34, 44]) * cup[..., None]
    if rng.random() < 0.4:  # small bright deposits, which are no vessels
        for _ in range(rng.integers(4, 12)):
            at = macula + rng.normal(0, 0.3 * radius, 2)
            picture += np.array([24, 52, 30]) * blob(at, rng.uniform(0.7, 1.8), 1.3)[..., None]

    # Blood absorbs green most; thin vessels hold less of it. Arteries shine along the middle.
    for coverage, depth in ((arteries, [0.10, 0.36, 0.24]), (veins, [0.24, 0.52, 0.36])):
        soft = ndimage.gaussian_filter(coverage, 0.6)
        thick = np.clip(ndimage.distance_transform_edt(coverage >= 0.5) / 2, 0.55, 1)
        thick = ndimage.gaussian_filter(ndimage.maximum_filter(thick, 3), 0.8)
        picture *= 1 - np.array(depth) * (soft * thick)[..., None]
    reflex = np.clip(ndimage.distance_transform_edt(arteries >= 0.5) - 1.2, 0, 1)
    picture *= 1 + 0.22 * ndimage.gaussian_filter(reflex, 0.5)[..., None]

    edge = np.clip(radius - from_center + 0.5, 0, 1)[..., None]
    picture = ndimage.gaussian_filter(picture * edge, (0.45, 0.45, 0))
    picture += rng.normal(0, 1, picture.shape) * np.array([2.2, 2.6, 3.0]) * (0.25 + 0.75 * edge)
    return np.clip(picture + 2, 0, 255).astype(np.uint8), vessels, fov


@dataclass
class Retina:
    """Where things lie, in px; ``occupied`` marks the 4 px cells that vessels run through."""

    disc: Array
    macula: Array
    center: Array
    radius: float
    temporal: int
    occupied: set[tuple[int, int]]


def grow(rng: np.random.Generator, eye: Retina) -> list[Vessel]:
    """The vessel tree: arcades around the macula and nasal trunks, then branches down to 1 px."""
    tree: list[Vessel] = []
    steps = np.linspace(0, 1, 60)
    for vein in (True, False):
        for up in (-1, 1):
            reach = rng.uniform(1.75, 1.95) * eye.radius
            bow = rng.uniform(0.6, 0.72) * eye.radius * (1.05 if vein else 0.84)
            wander = np.cumsum(rng.normal(0, 1.6, (60, 2)), axis=0)
            wander = ndimage.gaussian_filter1d(wander, 1.6, axis=0)
            wander -= wander[0] + steps[:, None] * (wander[-1] - wander[0])
            along = reach * steps**1.5 - 0.12 * eye.radius * np.sin(np.pi * steps)
            across = bow * np.sin(np.pi * (0.93 * steps) ** 0.62)
            arcade = eye.disc + np.stack([eye.temporal * along, up * across], axis=1) + wander
            width = rng.uniform(1.7, 2.1) if vein else rng.uniform(1.25, 1.55)
            tree.append(Vessel(arcade, width * (1 - 0.62 * steps), vein))
            eye.occupied.update(_cells(arcade))
            heading = np.arctan2(up * rng.uniform(0.5, 1.1), -eye.temporal)
            tree.append(_walk(rng, eye, eye.disc, heading, 0.8 * width, vein))
        for up in (-1, 1):  # small twigs straight towards the macula
            heading = np.arctan2(up * rng.uniform(0.25, 0.6), eye.temporal)
            tree.append(_walk(rng, eye, eye.disc, heading, 0.85, vein))
    young = list(tree)
    while young:
        parent = young.pop(0)
        gap, side = rng.uniform(6, 14), rng.choice([-1, 1])
        while gap < len(parent.points) - 3:
            i = int(gap)
            along = parent.points[i + 1] - parent.points[i - 1]
            heading = np.arctan2(along[1], along[0]) + side * rng.uniform(0.5, 1.0)
            width = parent.radii[i] * rng.uniform(0.55, 0.85)
            if width > 0.42:
                child = _walk(rng, eye, parent.points[i], heading, width, parent.vein)
                if len(child.points) > 8:
                    tree.append(child)
                    young.append(child)
            side = -side
            gap += rng.uniform(7, 15)
    return tree


def _cells(points: Array) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in points / 4]


def _walk(
    rng: np.random.Generator, eye: Retina, start: Array, heading: float, width: float, vein: bool
) -> Vessel:
    """A vessel that wanders away from the disc in steps of 2 px, tapers, and spares the fovea.

    It may cross a few others, then ends.
    """
    points, radii = [np.asarray(start, float)], [width]
    turn, crossings, own = 0.0, 0, {_cells(start[None])[0]}
    for _ in range(int(rng.uniform(30, 50) * (0.5 + width))):
        turn = 0.7 * turn + rng.normal(0, 0.09)
        outwards = np.arctan2(*(points[-1] - eye.disc)[::-1])
        heading += turn + 0.05 * np.sin(outwards - heading)
        to_macula = eye.macula - points[-1]
        if np.hypot(*to_macula) < 0.25 * eye.radius:
            heading -= 0.2 * np.sign(np.sin(np.arctan2(*to_macula[::-1]) - heading))
            if np.hypot(*to_macula) < 0.1 * eye.radius:
                break
        points.append(points[-1] + 2 * np.array([np.cos(heading), np.sin(heading)]))
        radii.append(max(0.42, radii[-1] * 0.985))
        cell = _cells(points[-1][None])[0]
        crossings += len(points) > 4 and cell in eye.occupied and cell not in own
        own.add(cell)
        if np.hypot(*(points[-1] - eye.center)) > eye.radius or crossings > (3 if vein else 2):
            break
    eye.occupied.update(_cells(np.array(points)))
    return Vessel(np.array(points), np.array(radii), vein)


def _coverage(tree: list[Vessel]) -> Array:
    """Share of each pixel that vessels cover, 0 to 1, float32 ``(H, W)``."""
    canvas = Image.new("L", (WIDTH * FINE, HEIGHT * FINE))
    pen = ImageDraw.Draw(canvas)
    for vessel in tree:
        points, radii = FINE * (vessel.points + 0.5), FINE * vessel.radii
        # Ten stamps between two points, so that the outline is smooth.
        at = np.linspace(0, len(points) - 1, 10 * len(points))
        index = np.arange(len(points))
        stamps = (np.interp(at, index, values) for values in (points[:, 0], points[:, 1], radii))
        for cx, cy, r in zip(*stamps, strict=True):
            pen.ellipse([cx - r, cy - r, cx + r, cy + r], fill=1)
    fine = np.asarray(canvas, np.float32).reshape(HEIGHT, FINE, WIDTH, FINE)
    return fine.mean(axis=(1, 3))
