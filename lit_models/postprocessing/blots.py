"""Reproducible sampling of blots."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lit_models.networks.blot_generators import UNetGenerator


def generate(generator: nn.Module, templates: Tensor) -> Tensor:
    """Blots uint8 ``(N, 1, H, W)`` for templates ``(N, 2, H, W)`` in [-1, 1]."""
    return ((seeded_blots(generator, templates) + 1) * 127.5).round().to(torch.uint8)


def seeded_blots(generator: nn.Module, templates: Tensor) -> Tensor:
    """Blots float32 ``(N, 1, H, W)`` in [-1, 1] for templates ``(N, 2, H, W)``.

    The grain of a `UNetGenerator` is drawn anew for each pair, but by a seed made of the pair's own
    pixels: a pair gives the same blot alone, in a batch, and in any process.
    """
    noise = (seeded_noise(templates),) if isinstance(generator, UNetGenerator) else ()
    return generator(templates, *noise).float()


def seeded_noise(
    templates: Tensor, size: Sequence[int] | None = None, samples: Tensor | None = None
) -> Tensor:
    """Normal noise ``(N, C, H, W)``, each by a checksum of its templates.

    From numpy's ``RandomState``, whose numbers are the same in all its versions, so that an
    exported model draws them without torch (``inference/infer_onnx.py``).

    Args:
        templates: ``(N, 2, h, w)``.
        size: ``(C, H, W)``; None: one channel of the templates' size.
        samples: number ``(N,)`` of each of several blots of one pair; None: the first.
    """
    numbers = [0] * len(templates) if samples is None else samples.tolist()
    noise = []
    for pair, number in zip(templates, numbers, strict=True):
        generator = np.random.RandomState(checksum(pair, number))
        noise.append(generator.standard_normal(size or (1, *pair.shape[-2:])))
    return torch.from_numpy(np.stack(noise)).to(templates)


def checksum(templates: Tensor, start: int = 0) -> int:
    """CRC-32 of a pair of templates ``(2, H, W)``, which seeds what is drawn for it."""
    return zlib.crc32(templates.detach().float().cpu().contiguous().numpy().tobytes(), start)
