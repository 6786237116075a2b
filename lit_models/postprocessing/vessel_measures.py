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
from scipy.sparse import coo_array
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


def trace_vessels(
    probability: Values, threshold: float, centerline: Sequence[float] | None
) -> Mask:
    """Vessel pixels and the center lines of fainter vessels that are connected to clear ones.

    A lower threshold finds thin vessels that the mask misses, but draws them too wide. Of what
    hysteresis (Canny 1986) adds, only the center line is taken.

    Args:
        probability: of vessel, ``(H, W)``.
        threshold: probability above which a pixel is vessel.
        centerline: low and high threshold of the hysteresis; None adds nothing.

    Returns:
        bool ``(H, W)``.
    """
    from skimage.filters import apply_hysteresis_threshold
    from skimage.morphology import skeletonize

    vessels = probability > threshold
    if centerline is None:
        return vessels
    return vessels | skeletonize(apply_hysteresis_threshold(probability, *centerline))


@dataclass(frozen=True)
class MeasuredVessels:
    """A photograph's vessels in numbers.

    Attributes:
        traced: what the skeleton is of, ``(H, W)``, see `trace_vessels`.
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

    Args:
        probability: of vessel, ``(H, W)``.
        fov: field of view, ``(H, W)``, not empty.
        threshold: see `trace_vessels`.
        centerline: likewise.
        sharpness: of the photograph, see `datamodules.transforms.fundus.sharpness`; None: unknown.
    """
    from skimage.morphology import skeletonize

    vessels = (probability > threshold) & fov
    traced = trace_vessels(probability, threshold, centerline) & fov
    y, x, diameter = _center(fov)
    quality, measurable = _quality(probability, vessels, fov, sharpness)
    if not measurable:
        return MeasuredVessels(traced, dict.fromkeys(REGIONS, VesselMeasures()), quality)
    tree = _tree(skeletonize(traced), MIN_BRANCH * diameter)
    upper, lower, left, right = slice(y), slice(y, None), slice(x), slice(x, None)
    quadrants = [(upper, left), (upper, right), (lower, left), (lower, right)]
    measures = (
        _measure(vessels[region], fov[region], tree.within(*region), diameter)
        for region in [(slice(None), slice(None)), *quadrants]
    )
    return MeasuredVessels(traced, dict(zip(REGIONS, measures, strict=True)), quality)


def _quality(
    probability: Values, vessels: Mask, fov: Mask, sharpness: float | None
) -> tuple[tuple[str, ...], bool]:
    """See `MeasuredVessels`, and whether there is anything to measure."""
    diameter = _center(fov)[2]
    disc = fov.sum() / (math.pi / 4 * diameter**2)
    density = vessels.sum() / fov.sum()
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
    flags = tuple(name for name, holds in (fatal | doubtful).items() if holds)
    return flags, not any(fatal.values())


def _center(fov: Mask) -> tuple[int, int, int]:
    """Row and column of the middle of the FOV, and its diameter, in px."""
    ends = [np.flatnonzero(fov.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    y, x = (int(low + high + 1) // 2 for low, high in ends)
    return y, x, int(max(high - low for low, high in ends)) + 1


@dataclass(frozen=True)
class _Tree:
    """A skeleton; all positions are row and column in px."""

    points: Points  # (P, 2)
    lengths: Values  # (P,): half of the steps to a point's neighbors, px
    ends: Points  # (E, 2)
    junctions: Values  # (J, 2)
    branches: Points  # (B, 2): one point of each
    tortuosity: Values  # (B,)

    def within(self, rows: slice, columns: slice) -> "_Tree":
        """The part of a region."""
        low = (rows.start or 0, columns.start or 0)
        high = (rows.stop or math.inf, columns.stop or math.inf)
        points, ends, junctions, branches = (
            ((places >= low) & (places < high)).all(axis=1)
            for places in (self.points, self.ends, self.junctions, self.branches)
        )
        return _Tree(
            self.points[points],
            self.lengths[points],
            self.ends[ends],
            self.junctions[junctions],
            self.branches[branches],
            self.tortuosity[branches],
        )


def _tree(skeleton: Mask, min_branch: float) -> _Tree:
    points = np.argwhere(skeleton)
    one, other = _neighbors(skeleton)
    steps = np.linalg.norm(points[one] - points[other], axis=1)
    both = np.concatenate([one, other])
    degree = np.bincount(both, minlength=len(points))
    lengths = np.bincount(both, np.concatenate([steps, steps]) / 2, len(points)).astype(float)
    crowded = np.zeros_like(skeleton)
    crowded[tuple(points[degree > 2].T)] = True
    labels, count = ndimage.label(crowded, np.ones((3, 3)))
    junctions = ndimage.center_of_mass(crowded, labels, range(1, count + 1))
    inner = (degree[one] <= 2) & (degree[other] <= 2)
    tips, arcs = _branches(one[inner], other[inner], steps[inner], len(points))
    chords = np.linalg.norm(points[tips[:, 0]] - points[tips[:, 1]], axis=1)
    long = arcs >= min_branch
    return _Tree(
        points,
        lengths,
        points[degree == 1],
        np.reshape(junctions, (-1, 2)),
        points[tips[long, 0]],
        arcs[long] / chords[long],
    )


def _branches(one: Points, other: Points, steps: Values, count: int) -> tuple[Points, Values]:
    """First and last point ``(B, 2)`` and length ``(B,)`` of each branch; rings have no ends."""
    edges = coo_array((steps, (one, other)), shape=(count, count))
    branch = connected_components(edges, directed=False)[1]
    arcs = np.bincount(branch[one], steps, minlength=count)
    tips = np.flatnonzero(np.bincount(np.concatenate([one, other]), minlength=count) == 1)
    pairs = tips[np.argsort(branch[tips], kind="stable")].reshape(-1, 2)
    return pairs, arcs[branch[pairs[:, 0]]]


def _neighbors(skeleton: Mask) -> tuple[Points, Points]:
    """Indices of neighboring points, each pair once; diagonal where no other way leads there."""
    index = np.cumsum(skeleton).reshape(skeleton.shape) - 1
    s = skeleton
    pairs = [
        (s[:, :-1] & s[:, 1:], index[:, :-1], index[:, 1:]),
        (s[:-1] & s[1:], index[:-1], index[1:]),
        (s[:-1, :-1] & s[1:, 1:] & ~s[:-1, 1:] & ~s[1:, :-1], index[:-1, :-1], index[1:, 1:]),
        (s[:-1, 1:] & s[1:, :-1] & ~s[:-1, :-1] & ~s[1:, 1:], index[:-1, 1:], index[1:, :-1]),
    ]
    return (
        np.concatenate([a[both] for both, a, _ in pairs]),
        np.concatenate([b[both] for both, _, b in pairs]),
    )


def _measure(vessels: Mask, fov: Mask, tree: _Tree, diameter: int) -> VesselMeasures:
    if not fov.any():
        return VesselMeasures()
    length = tree.lengths.sum()
    return VesselMeasures(
        density=float(vessels.sum() / fov.sum()),
        length=float(length / diameter),
        fractal_dimension=_box_dimension(tree.points, diameter),
        tortuosity=float(np.median(tree.tortuosity)) if len(tree.tortuosity) else math.nan,
        mean_width=float(vessels.sum() / length / diameter) if length else math.nan,
        branch_points=float(len(tree.junctions)),
        end_points=float(len(tree.ends)),
    )


def _box_dimension(points: Points, diameter: int) -> float:
    if not len(points):
        return math.nan
    sides = [side for side in diameter / 2.0 ** np.arange(2, 9) if side >= 2]
    counts = [len(np.unique((points // side) @ [1e6, 1])) for side in sides]
    return float(-np.polyfit(np.log(sides), np.log(counts), 1)[0])
