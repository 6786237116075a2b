"""The field of view of a fundus photograph, and the size that brings every camera to one scale.

Needs numpy and scipy alone: an exported model has this file beside its ``infer_onnx.py``.
"""

from typing import Any

import numpy as np
from scipy import ndimage

LEAST_FOV = 0.25  # of an image's longer side; DRIVE's is 0.92, a wide frame's 0.56


def more_inputs(pixels: np.ndarray, card: dict[str, Any]) -> dict[str, np.ndarray]:
    """The graph's inputs beside the pixels of an image.

    Args:
        pixels: uint8 ``(H, W)`` or ``(H, W, 3)``.
        card: with ``size`` and ``diameter``, see `network_size`.

    Returns:
        ``fov`` bool ``(h, w)``, of the size that the network is to see.
    """
    fov = estimate_fov(pixels)
    size = network_size(fov, card["size"], card["diameter"])
    rows, columns = (  # the nearest, as torch resizes
        np.minimum((np.arange(new, dtype=np.float32) * np.float32(old / new)).astype(int), old - 1)
        for old, new in zip(fov.shape, size, strict=True)
    )
    return {"fov": fov[rows][:, columns]}


def estimate_fov(pixels: np.ndarray) -> np.ndarray:
    """Field of view of a fundus photograph that has no mask for it, bool ``(H, W)``, never empty.

    The largest connected region brighter than an eighth of the bright part of the picture, without
    holes. A picture that is bright to its corners (no black frame) is all field of view, and so is
    one without such a region of some size (all black but for a speck).

    Args:
        pixels: uint8 ``(H, W)`` or ``(H, W, C)``.
    """
    bright = pixels.reshape(*pixels.shape[:2], -1).max(axis=2).astype(np.float32)
    seen = bright > np.quantile(bright.flat[:: max(1, bright.size // 10**5)], 0.95) / 8
    regions, count = ndimage.label(ndimage.binary_opening(seen, iterations=2))
    if not count:
        return np.ones_like(seen)
    largest = 1 + np.bincount(regions.flat)[1:].argmax()
    fov: np.ndarray = ndimage.binary_fill_holes(regions == largest)
    return fov if fov_diameter(fov) >= LEAST_FOV * max(fov.shape) else np.ones_like(fov)


def fov_diameter(fov: np.ndarray) -> int:
    """Diameter in px of a field of view ``(H, W)``, not empty: a disc, maybe with sides cut off."""
    return int(max(np.ptp(np.flatnonzero(fov.any(axis))) + 1 for axis in (0, 1)))


def network_size(fov: np.ndarray, size: int | None, diameter: float | None) -> list[int]:
    """``[h, w]`` that the network is to see of a photograph.

    Args:
        fov: its field of view, bool ``(H, W)``, not empty; `LEAST_FOV` bounds the result.
        size: side in px that photographs are squashed to.
        diameter: of the field of view in px that photographs are scaled to. Within 5 % their size
            stays: resampling would lose more than the scale gains. With neither, it stays too.
    """
    if size is not None:
        return [size, size]
    scale = 1.0 if diameter is None else diameter / fov_diameter(fov)
    return [side if abs(scale - 1) <= 0.05 else max(1, round(side * scale)) for side in fov.shape]
