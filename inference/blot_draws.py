"""Noise and style drawn for a pair of templates.

Needs numpy alone, for `inference.export` lays it beside ``infer_onnx.py``. The numbers are those of
`lit_models.postprocessing`'s `seeded_noise` and `complete_styles`.
"""

import zlib
from typing import Any

import numpy as np


def more_inputs(pixels: np.ndarray, card: dict[str, Any]) -> dict[str, np.ndarray]:
    """The graph's inputs beside both templates, uint8 ``(2, H, W)``, by name.

    Gives ``style`` float32 ``(8,)``, and ``noise`` float32 ``(C, H', W')``, its sides up to a
    multiple that the card says.
    """
    seed = zlib.crc32((pixels / np.float32(127.5) - np.float32(1)).tobytes())
    known = np.array([row.split() for row in card["style_bank"]], np.float32)
    draws = np.random.default_rng([seed])
    membrane = draws.permutation(np.unique(known[:, 0]))[0]
    style = known[draws.choice(np.flatnonzero(known[:, 0] == membrane)), 1:]
    channels, multiple = card["noise"]
    sides = (-(-side // multiple) * multiple for side in pixels.shape[1:])
    noise = np.random.RandomState(seed).standard_normal((channels, *sides))
    return {"style": style, "noise": noise.astype(np.float32)}
