"""Style of a blot: eight numbers measured on it that its templates do not contain.

Two blots of one pair of templates differ by membrane, stain, exposure, camera and compression.
Eight numbers stand for that; models and data modules have them as a vector in the order of `NAMES`.
"""

from dataclasses import astuple, dataclass

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, label
from skimage.filters import threshold_otsu

from common.errors import DataError

# What may be set; the training set of any model is a small part of it.
RANGES = {
    "paper": (0, 255),
    "band": (0, 255),
    "gradient_x": (-128, 128),
    "gradient_y": (-128, 128),
    "blur": (0.3, 8),
    "noise": (0, 64),
    "grain": (0, 64),
    "detail": (0, 128),
}
NAMES = tuple(RANGES)
_SIGMAS = (0.3, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8)  # of blur, px


@dataclass(frozen=True)
class BlotStyle:
    """Style as a user sets it; null leaves a number to be drawn.

    Gray levels are those of an 8-bit image, 0 black and 255 white.

    Args:
        paper: median gray away from the bands, 0 to 255.
        band: median gray inside the bands, 0 to 255.
        gradient_x: rise of the paper from left to right, gray levels per 64 px; measured a little
            too small, for little paper tells nothing of it.
        gradient_y: rise of the paper from top to bottom, likewise.
        blur: sigma in px of the Gaussian that makes the blot's edges of the band mask, 0.3 to 8.
        noise: standard deviation of the paper's grain finer than a Gaussian of 1 px, gray levels.
        grain: the same of what lies between Gaussians of 1 and 3 px: mottle, JPEG blocks.
        detail: standard deviation of the mixed difference ``x[i+1,j+1] - x[i+1,j] - x[i,j+1] +
            x[i,j]`` of the whole blot, gray levels: the finest detail, which compression and
            resizing take away.

    Raises:
        DataError: a number outside `RANGES`.
    """

    paper: float | None = None
    band: float | None = None
    gradient_x: float | None = None
    gradient_y: float | None = None
    blur: float | None = None
    noise: float | None = None
    grain: float | None = None
    detail: float | None = None

    def __post_init__(self) -> None:
        for (name, (low, high)), value in zip(RANGES.items(), astuple(self), strict=True):
            if value is not None and not low <= value <= high:
                raise DataError(f"data.style.{name}: {value:g}; give {low} to {high}")

    def vector(self, example: np.ndarray | None = None) -> np.ndarray:
        """Float32 ``(8,)``; what is not set is the example's, or NaN."""
        given = np.array(astuple(self), np.float32)  # None becomes NaN
        return given if example is None else np.where(np.isnan(given), example, given)


def measure_style(pixels: np.ndarray, bands: np.ndarray | None = None) -> np.ndarray:
    """Style float32 ``(8,)`` of a blot, in the order of `NAMES`.

    Args:
        pixels: gray, uint8 ``(H, W)``.
        bands: where its bands are, bool ``(H, W)``: template 1. None looks for them, see `otsu`.
    """
    x = pixels.astype(np.float64)
    mask = otsu(pixels) if bands is None else bands
    if not mask.any() or mask.all():
        mask = x <= np.quantile(x, 0.1)
    inner = binary_erosion(mask, border_value=1)
    inner = inner if inner.sum() >= 20 else mask
    for away in (6, 4, 2, 0):  # as far from the bands as leaves 5 % of the blot
        outer = ~binary_dilation(mask, iterations=away) if away else ~mask
        if outer.mean() >= 0.05:
            break
    if not outer.any():
        outer = np.ones_like(mask)
    quiet = binary_erosion(outer, iterations=2, border_value=1)
    quiet = quiet if quiet.mean() >= 0.03 else outer
    one = gaussian_filter(x, 1)
    fine, middle = x - one, one - gaussian_filter(x, 3)
    mixed = np.diff(np.diff(x, axis=0), axis=1)
    spreads = [_robust_spread(values) for values in (fine[quiet], middle[quiet], mixed)]
    levels = np.median(x[outer]), np.median(x[inner])
    return np.array([*levels, *_gradient(x, outer), _blur(x, mask), *spreads], np.float32)


def otsu(pixels: np.ndarray) -> np.ndarray:
    """Bands, bool ``(H, W)``: the darker class of Otsu's threshold, specks below 10 px left out."""
    mask = pixels <= threshold_otsu(pixels)
    labels, _ = label(mask)
    return mask & (np.bincount(labels.ravel())[labels] >= 10)


def _robust_spread(values: np.ndarray) -> float:
    """Standard deviation, were it Gaussian, from the lower 3/4 of the absolute values.

    Faint bands and scratches are among the rest. A median of 8-bit differences would be a step.
    """
    ordered = np.sort(np.abs(values), axis=None)
    return float(ordered[: max(len(ordered) * 3 // 4, 1)].mean() / 0.515) if len(ordered) else 0.0


def _gradient(x: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Plane through the paper, x and y, gray levels per 64 px; little paper has none."""
    rows, columns = np.nonzero(outer)
    height, width = x.shape
    across, down = (columns - width / 2) / 64, (rows - height / 2) / 64
    design = np.stack([across, down, np.ones(len(rows))], axis=1)
    clipped = np.clip(x[outer], *np.quantile(x[outer], [0.05, 0.95]))
    gram = design.T @ design + np.diag([0.02, 0.02, 0]) * len(rows)
    return np.linalg.solve(gram, design.T @ clipped)[:2]


def _blur(x: np.ndarray, mask: np.ndarray) -> float:
    """The sigma of `_SIGMAS` whose blurred mask, scaled and shifted, is nearest to the blot."""
    centered, blur, best = x - x.mean(), _SIGMAS[0], np.inf
    for sigma in _SIGMAS:
        soft = gaussian_filter(mask.astype(float), sigma)
        soft -= soft.mean()
        slope = (soft * x).sum() / max((soft**2).sum(), 1e-9)
        error = ((centered - slope * soft) ** 2).mean()
        if error < best * 0.999:
            blur, best = sigma, error
    return blur
