"""Blots that are the same whenever they are asked for."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from lit_models.networks.blot_generators import UNetGenerator


def generate(generator: nn.Module, templates: Tensor) -> Tensor:
    """Blots uint8 ``(N, 1, H, W)`` for templates ``(N, 2, H, W)`` in [-1, 1].

    The grain of a `UNetGenerator` is drawn anew for each pair, but by a seed made of the pair's own
    pixels: a pair gives the same blot alone, in a batch, and in any process.
    """
    if isinstance(generator, UNetGenerator):
        blots = generator(templates, seeded_noise(templates))
    else:
        blots = generator(templates)
    return ((blots.float() + 1) * 127.5).round().to(torch.uint8)


def seeded_noise(templates: Tensor) -> Tensor:
    """Normal noise ``(N, 1, H, W)``, each by a checksum of its templates.

    From numpy's ``RandomState``, whose numbers are the same in all its versions, so that an exported
    model draws them without torch (``inference/infer_onnx.py``).
    """
    noise = []
    for pair in templates.detach().float().cpu():
        generator = np.random.RandomState(zlib.crc32(pair.contiguous().numpy().tobytes()))
        noise.append(generator.standard_normal((1, *pair.shape[-2:])))
    return torch.from_numpy(np.stack(noise)).to(templates)
