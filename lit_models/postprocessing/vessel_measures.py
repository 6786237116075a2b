"""Measures of the vessel tree in a fundus photograph: length, branching, winding.

Lengths are in diameters of the field of view (FOV), so that photographs of any size compare. There
are no caliber ratios: they need arteries, veins and the optic disc told apart.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import connected_components

Mask = NDArray[np.bool_]
Points = NDArray[np.integer]
Values = NDArray[np.floating]
REGIONS = ("whole", "upper_left", "upper_right", "lower_left", "lower_right")
MIN_BRANCH = 0.02  # of the FOV's diameter; shorter branches are too coarse to wind
MIN_DIAMETER = 256  # px of the FOV
DENSITIES = (0.02, 0.25)  # of a plausible map
MIN_DISC, MAX_DISC = 0.75, 1.1  # the FOV's area over that of a disc of its diameter
MIN_CONFIDENCE = 0.72  # mean probability of vessel pixels; less where noise drowns the vessels
MIN_SHARPNESS = 0.07  # a blur of 2.5 px where the FOV measures 540 px


@dataclass(frozen=True)
class VesselMeasures:
    """Of the whole field of view or one quadrant; NaN where a measure is not defined.

    Attributes:
        density: vessel pixels of the mask over pixels of the FOV.
        length: of the traced vessels' skeleton (Zhang and Suen 1984), in diameters of the FOV.
        fractal_dimension: of the skeleton, by counting boxes with sides from a quarter to a 256th
            of the FOV's diameter, 2 px at least (Mainster 1990).
        tortuosity: median over the branches of arc over chord, 1 or more (Hart et al. 1999).
        mean_width: vessel pixels of the mask over length, in diameters of the FOV.
        branch_points: number of places where branches of the skeleton meet.
        end_points: number of free ends.
    """

    density: float = math.nan
    length: float = math.nan
    fractal_dimension: float = math.nan
    tortuosity: float = math.nan
    mean_width: float = math.nan
    branch_points: float = math.nan
    end_points: float = math.nan


MEASURES = tuple(field.name for field in fields(VesselMeasures))


@dataclass(frozen=True)
class MeasuredVessels:
    """A photograph's vessels in numbers.

    Attributes:
        traced: what the skeleton is of, ``(H, W)``: the mask, and center lines of fainter vessels
            that are connected to clear ones.
        regions: of the whole field of view and its quadrants, by the names in `REGIONS`.
        quality: what speaks against the numbers. ``few_vessels`` and ``many_vessels``: a density
            outside `DENSITIES`; ``small_fov``: a diameter below `MIN_DIAMETER`; with these all
            measures are NaN. ``cut_fov``: less than `MIN_DISC` of a disc; ``no_fov``: no black
            frame around it; ``low_confidence``, as of low contrast or noise: the mean probability
            of vessel pixels is below `MIN_CONFIDENCE`; ``blurred``: sharpness below
            `MIN_SHARPNESS`.
    """

    traced: Mask
    regions: dict[str, VesselMeasures]
    quality: tuple[str, ...]


def measure_vessels(
    probability: Values,
    fov: Mask,
    threshold: float = 0.5,
    centerline: Sequence[float] | None = None,
    sharpness: float | None = None,
) -> MeasuredVessels:
    """Measures of the vessels in a photograph.

    A lower threshold finds thin vessels that the mask misses, but draws them too wide. Of what
    hysteresis (Canny 1986) adds, only the center line is taken.

    Args:
        probability: of vessel, ``(H, W)``.
        fov: field of view, ``(H, W)``, not empty.
        threshold: probability above which a pixel is vessel.
        centerline: low and high threshold of the hysteresis; None adds nothing.
        sharpness: of the photograph, see `datamodules.fundus_input.sharpness`; None: unknown.
    """
    from skimage.filters import apply_hysteresis_threshold
    from skimage.morphology import skeletonize

    vessels = traced = (probability > threshold) & fov
    if centerline is not None:
        faint = apply_hysteresis_threshold(probability, *centerline)
        traced = vessels | skeletonize(faint) & fov
    ends = [np.flatnonzero(fov.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    y, x = (int(low + high + 1) // 2 for low, high in ends)
    diameter = int(max(high - low for low, high in ends)) + 1
    disc, density = fov.sum() / (math.pi / 4 * diameter**2), vessels.sum() / fov.sum()
    fatal = {
        "few_vessels": density < DENSITIES[0],
        "many_vessels": density > DENSITIES[1],
        "small_fov": diameter < MIN_DIAMETER,
    }
    doubtful = {
        "cut_fov": disc < MIN_DISC,
        "no_fov": disc > MAX_DISC,
        "low_confidence": vessels.any() and probability[vessels].mean() < MIN_CONFIDENCE,
        "blurred": sharpness is not None and sharpness < MIN_SHARPNESS,
    }
    quality = tuple(name for name, holds in (fatal | doubtful).items() if holds)
    if any(fatal.values()):
        return MeasuredVessels(traced, dict.fromkeys(REGIONS, VesselMeasures()), quality)
    skeleton = skeletonize(traced)
    tree = [skeleton, *_trace_branches(skeleton, MIN_BRANCH * diameter)]
    upper, lower, left, right = slice(y), slice(y, None), slice(x), slice(x, None)
    quadrants = [(upper, left), (upper, right), (lower, left), (lower, right)]
    measures = (
        _measure(vessels[region], fov[region], [part[region] for part in tree], region, diameter)
        for region in [(slice(None), slice(None)), *quadrants]
    )
    return MeasuredVessels(traced, dict(zip(REGIONS, measures, strict=True)), quality)


def _trace_branches(skeleton: Mask, min_branch: float) -> list[Values]:
    """Four maps of a skeleton ``(H, W)``.

    Half of the steps to a point's neighbors in px, 0 off the skeleton; number of free ends, and of
    junctions, at a pixel; tortuosity of a branch of at least ``min_branch`` px at its first point,
    else NaN.
    """
    from skimage.graph import pixel_graph

    points = np.argwhere(skeleton)
    graph = csr_array(pixel_graph(skeleton, connectivity=2)[0])  # steps in px, points in order
    straight = (graph == 1).astype(int)
    graph -= graph.multiply(straight @ straight > 0)  # diagonal where no other way leads there
    graph.eliminate_zeros()
    degree = np.diff(graph.indptr)
    lengths, ends, junctions = np.zeros((3, *skeleton.shape))
    lengths[skeleton] = graph.sum(axis=1) / 2
    ends[skeleton] = degree == 1
    crowded = np.zeros_like(skeleton)
    crowded[skeleton] = degree > 2
    labels, count = ndimage.label(crowded, np.ones((3, 3)))
    centers = np.reshape(ndimage.center_of_mass(crowded, labels, range(1, count + 1)), (-1, 2))
    np.add.at(junctions, tuple(centers.astype(int).T), 1)
    inner = diags_array((degree <= 2).astype(float))
    branches = (inner @ graph @ inner).tocsr()
    branches.eliminate_zeros()
    branch = connected_components(branches, directed=False)[1]
    arcs = np.bincount(branch, branches.sum(axis=1)) / 2
    tips = np.flatnonzero(np.diff(branches.indptr) == 1)  # two of each branch, for rings have none
    first, last = tips[np.argsort(branch[tips], kind="stable")].reshape(-1, 2).T
    arcs, chords = arcs[branch[first]], np.linalg.norm(points[first] - points[last], axis=1)
    tortuosity = np.full(skeleton.shape, np.nan)
    tortuosity[tuple(points[first].T)] = np.where(arcs >= min_branch, arcs / chords, np.nan)
    return [lengths, ends, junctions, tortuosity]


def _measure(
    vessels: Mask, fov: Mask, tree: list[Values], region: tuple[slice, slice], diameter: int
) -> VesselMeasures:
    if not fov.any():
        return VesselMeasures()
    skeleton, lengths, ends, junctions, tortuosity = tree
    length, winding = lengths.sum(), tortuosity[~np.isnan(tortuosity)]
    corner = [side.start or 0 for side in region]
    return VesselMeasures(
        density=float(vessels.sum() / fov.sum()),
        length=float(length / diameter),
        fractal_dimension=_box_dimension(np.argwhere(skeleton) + corner, diameter),
        tortuosity=float(np.median(winding)) if len(winding) else math.nan,
        mean_width=float(vessels.sum() / length / diameter) if length else math.nan,
        branch_points=float(junctions.sum()),
        end_points=float(ends.sum()),
    )


def _box_dimension(points: Points, diameter: int) -> float:
    if not len(points):
        return math.nan
    sides = [side for side in diameter / 2.0 ** np.arange(2, 9) if side >= 2]
    counts = [len(np.unique((points // side) @ [1e6, 1])) for side in sides]
    return float(-np.polyfit(np.log(sides), np.log(counts), 1)[0])
