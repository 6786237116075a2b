"""Reproducible sampling of blots in a given or drawn style."""

import numpy as np
import torch
from torch import Tensor

from datamodules.blot_style import draw_styles
from lit_models.networks.styled_blot_generator import StyledBlotGenerator, typical_style
from lit_models.postprocessing.blots import checksum, seeded_noise


def generate_styled(
    generator: StyledBlotGenerator, templates: Tensor, styles: Tensor, samples: Tensor
) -> Tensor:
    """Blots uint8 ``(N, 1, H, W)``, see `seeded_styled`."""
    blots = seeded_styled(generator, templates, styles, samples)
    return ((blots + 1) * 127.5).round().to(torch.uint8)


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
        for pair, number in zip(templates, samples.tolist(), strict=True)
    ]
    return torch.where(asked.isnan(), torch.from_numpy(np.stack(drawn)).to(asked), asked)


def known_rows(known: Tensor) -> np.ndarray:
    """Float32 ``(M, 9)``: the rows that are not empty, or before training a typical one."""
    rows = known.detach().cpu().numpy()
    rows = rows[rows[:, 0] >= 0]
    return rows if len(rows) else np.append(np.float32(0), typical_style().numpy())[None]
