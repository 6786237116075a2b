"""The field of view of a fundus photograph, as `datamodules.fundus_input` finds it, by numpy alone.

Lies beside `infer_onnx.py` where the exported model needs it.
"""

from typing import Any

import numpy as np


def more_inputs(pixels: np.ndarray, card: dict[str, Any]) -> dict[str, np.ndarray]:
    """The graph's inputs beside the pixels of an image, by name; see `network_fov`."""
    return {"fov": network_fov(pixels, card["size"], card["diameter"])}


def network_fov(pixels: np.ndarray, size: int | None, diameter: float | None) -> np.ndarray:
    """Field of view bool ``(h, w)``, of the size that the network is to see.

    Args:
        pixels: uint8 ``(H, W)`` or ``(H, W, 3)``.
        size: side in px that photographs are squashed to.
        diameter: of the field of view in px that photographs are scaled to; with neither, h and w
            are H and W.
    """
    fov = estimate_fov(pixels)
    sides = [size or side for side in fov.shape]
    if diameter is not None:
        scale = diameter / _extent(fov)
        sides = [s if abs(scale - 1) <= 0.05 else max(1, round(s * scale)) for s in fov.shape]
    rows, columns = (
        np.minimum((np.arange(new, dtype=np.float32) * np.float32(old / new)).astype(int), old - 1)
        for old, new in zip(fov.shape, sides, strict=True)
    )
    return fov[rows][:, columns]


def estimate_fov(pixels: np.ndarray) -> np.ndarray:
    """Bool ``(H, W)``: see the function of this name in `datamodules.transforms.fundus`."""
    bright = pixels.reshape(*pixels.shape[:2], -1).max(axis=2).astype(np.float32)
    seen = bright > np.quantile(bright.flat[:: max(1, bright.size // 10**5)], 0.95) / 8
    for spread in (np.logical_and, np.logical_and, np.logical_or, np.logical_or):
        seen = _with_neighbors(seen, spread)
    if not seen.any():
        return ~seen
    found = _regions(seen)
    numbers, counts = np.unique(found[seen], return_counts=True)
    others = np.pad(found != numbers[counts.argmax()], 1, constant_values=True)
    fov: np.ndarray = (_regions(others) != 1)[1:-1, 1:-1]  # 1 is the region of the corner
    return fov if _extent(fov) >= 0.25 * max(fov.shape) else np.ones_like(fov)


def _with_neighbors(mask: np.ndarray, how: Any) -> np.ndarray:
    """Grown by a pixel with ``np.logical_or``, shrunk with ``np.logical_and``."""
    p = np.pad(mask, 1)
    neighbors = [mask, p[:-2, 1:-1], p[2:, 1:-1], p[1:-1, :-2], p[1:-1, 2:]]
    return np.asarray(how.reduce(neighbors))


def _regions(mask: np.ndarray) -> np.ndarray:
    """Numbers of the 4-connected regions: runs of each row, joined where they touch."""
    starts = mask & ~np.pad(mask, ((0, 0), (1, 0)))[:, :-1]
    runs = starts.cumsum().reshape(mask.shape) * mask
    touch = mask[:-1] & mask[1:] & (starts[:-1] | starts[1:])
    pairs = np.stack([runs[:-1][touch], runs[1:][touch]])
    root = np.arange(runs.max() + 1)
    while (root[pairs[0]] != root[pairs[1]]).any():
        np.minimum.at(root, root[pairs].max(axis=0), root[pairs].min(axis=0))
        while (root[root] != root).any():
            root = root[root]
    return np.asarray(root[runs])


def _extent(fov: np.ndarray) -> int:
    return int(max(np.ptp(np.flatnonzero(fov.any(axis))) + 1 for axis in (0, 1)))
