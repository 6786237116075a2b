"""Noise and style that are drawn for a pair of templates, seeded by their pixels.

Needs numpy alone: an exported model has this file beside its ``infer_onnx.py``.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np


def more_inputs(pixels: np.ndarray, card: dict[str, Any]) -> dict[str, np.ndarray]:
    """The graph's inputs beside both templates, uint8 ``(2, H, W)``, by name.

    Gives ``style`` float32 ``(8,)``, and ``noise`` float32 ``(C, H', W')``, its sides up to a
    multiple that the card says.
    """
    seed = checksum(pixels / np.float32(127.5) - np.float32(1))
    known = np.array([row.split() for row in card["style_bank"]], np.float32)
    channels, multiple = card["noise"]
    sides = (-(-side // multiple) * multiple for side in pixels.shape[1:])
    noise = draw_noise(seed, (channels, *sides)).astype(np.float32)
    return {"style": draw_styles(known[:, 1:], known[:, 0], 1, [seed])[0], "noise": noise}


def checksum(templates: np.ndarray, start: int = 0) -> int:
    """CRC-32 of a pair of templates, float32 ``(2, H, W)`` in [-1, 1], which seeds its draws."""
    return zlib.crc32(np.ascontiguousarray(templates).tobytes(), start)


def draw_noise(seed: int, size: Sequence[int]) -> np.ndarray:
    """Normal noise of a size. ``RandomState`` gives the same numbers in all versions of numpy."""
    return np.random.RandomState(seed).standard_normal(tuple(size))


def draw_styles(
    styles: np.ndarray, membranes: np.ndarray, count: int, seed: Sequence[int]
) -> np.ndarray:
    """Styles ``(count, 8)`` as they occur: a membrane, then one of its blots, all numbers together.

    No membrane comes twice before each came once. The first of many are those of a few.

    Args:
        styles: of the training blots, ``(M, 8)``.
        membranes: of each, ``(M,)``.
        count: how many to draw.
        seed: of the draws.
    """
    rng, names = np.random.default_rng(seed), np.unique(membranes)
    drawn: list[np.ndarray] = []
    while len(drawn) < count:
        for name in rng.permutation(names):
            drawn.append(styles[rng.choice(np.flatnonzero(membranes == name))])
    return np.stack(drawn[:count])
