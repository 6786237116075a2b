"""Reproducible sampling of blots in a given or drawn style."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datamodules.blot_draws import checksum, draw_noise, draw_styles
from lit_models.networks.styled_blot_generator import StyledBlotGenerator, typical_style
from lit_models.postprocessing.pixels import to_gray


def generate_styled(
    generator: StyledBlotGenerator, templates: Tensor, styles: Tensor, samples: Tensor
) -> Tensor:
    """Blots uint8 ``(N, 1, H, W)``, see `seeded_styled`."""
    return to_gray(seeded_styled(generator, templates, styles, samples))


def seeded_styled(
    generator: StyledBlotGenerator, templates: Tensor, styles: Tensor, samples: Tensor | None = None
) -> Tensor:
    """Blots float32 ``(N, 1, H, W)`` in [-1, 1], of which pair, style and number decide.

    Args:
        generator: in eval mode.
        templates: ``(N, 2, H, W)`` in [-1, 1].
        styles: ``(N, 8)``.
        samples: number ``(N,)`` of each of several blots of one pair, from 0; None: the first.
    """
    noise = seeded_noise(templates, generator.noise_size(templates), samples)
    return generator(templates, styles, noise)[1].float()


def seeded_noise(templates: Tensor, size: Sequence[int], samples: Tensor | None = None) -> Tensor:
    """Normal noise ``(N, C, H, W)``, seeded by the pixels of each pair of templates.

    A pair gives the same blot alone, in a batch, and in any process.

    Args:
        templates: ``(N, 2, h, w)``.
        size: ``(C, H, W)``.
        samples: number ``(N,)`` of each of several blots of one pair; None: the first.
    """
    numbers = [0] * len(templates) if samples is None else samples.tolist()
    pairs = zip(_arrays(templates), numbers, strict=True)
    noise = [draw_noise(checksum(pair, number), size) for pair, number in pairs]
    return torch.from_numpy(np.stack(noise)).to(templates)


def _arrays(templates: Tensor) -> np.ndarray:
    return templates.detach().float().cpu().numpy()


def complete_styles(asked: Tensor, templates: Tensor, samples: Tensor, known: Tensor) -> Tensor:
    """Styles ``(N, 8)`` with what is not asked for drawn as the known ones are distributed.

    The draws are seeded by the templates' pixels, see `draw_styles`: the first of a pair's blots
    are of one membrane each.

    Args:
        asked: ``(N, 8)``, NaN where a number is to be drawn.
        templates: ``(N, 2, H, W)`` in [-1, 1].
        samples: number ``(N,)`` of each of several blots of one pair, from 0.
        known: ``(M, 9)``, a membrane and its style in each row; membrane -1: the row is empty.
    """
    rows = known_rows(known)
    drawn = [
        draw_styles(rows[:, 1:], rows[:, 0], number + 1, [checksum(pair)])[-1]
        for pair, number in zip(_arrays(templates), samples.tolist(), strict=True)
    ]
    return torch.where(asked.isnan(), torch.from_numpy(np.stack(drawn)).to(asked), asked)


def known_rows(known: Tensor) -> np.ndarray:
    """Float32 ``(M, 9)``: the rows that are not empty, or before training a typical one."""
    rows = known.detach().cpu().numpy()
    rows = rows[rows[:, 0] >= 0]
    return rows if len(rows) else np.append(np.float32(0), typical_style().numpy())[None]
