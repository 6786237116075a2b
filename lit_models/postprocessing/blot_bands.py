"""Bands of a generated blot as they are known before its grain: the truth for densitometry."""

from typing import NamedTuple

import numpy as np
from skimage.measure import label, regionprops
from skimage.segmentation import expand_labels


class Band(NamedTuple):
    """A band's place and strength.

    Attributes:
        left, top, right, bottom: its box in px; right and bottom are behind its last pixel.
        area: pixels of its region.
        density: sum over its region of the paper's gray minus the blot's, gray levels x px.
    """

    left: int
    top: int
    right: int
    bottom: int
    area: int
    density: float


def band_regions(bands: np.ndarray, blur: float) -> np.ndarray:
    """The number of the band that each pixel belongs to, from 1, and 0 for paper, int ``(H, W)``.

    Bands are the connected regions of template 1, widened by twice the style's blur, where the soft
    edges end, or to the middle between two bands.

    Args:
        bands: where template 1 has bands, bool ``(H, W)``.
        blur: of the style, px.
    """
    return expand_labels(label(bands, connectivity=2), 2 * blur)


def measure_bands(clean: np.ndarray, regions: np.ndarray) -> list[Band]:
    """Each band of a blot, in the order of their numbers.

    The paper is the plane that is nearest to the pixels outside of all regions.

    Args:
        clean: the blot without grain, gray levels 0 to 255, float ``(H, W)``.
        regions: see `band_regions`.
    """
    away = regions == 0
    if away.mean() < 0.05:  # the brightest pixels, where hardly any paper is left
        away = clean >= np.quantile(clean, 0.95)
    rows, columns = np.indices(clean.shape)
    design = np.stack([rows, columns, np.ones_like(rows)], axis=-1)
    plane, *_ = np.linalg.lstsq(design[away], clean[away], rcond=None)
    found = []
    for region in regionprops(regions, design @ plane - clean):
        top, left, bottom, right = region.bbox
        density = region.intensity_mean * region.area
        found.append(Band(left, top, right, bottom, int(region.area), float(density)))
    return found
