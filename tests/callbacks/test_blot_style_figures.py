"""Blots in several styles."""

from types import SimpleNamespace

import torch

from callbacks.figures.blots import blots_in_styles
from lit_models.networks import StyledBlotGenerator
from lit_models.networks.styled_blot_generator import typical_style


def test_every_row_has_the_same_styles():
    known = torch.cat([torch.arange(4.0)[:, None], typical_style().expand(4, -1)], 1)
    known[:, 1] = torch.tensor([150.0, 180, 210, 240])
    module = SimpleNamespace(
        generator=StyledBlotGenerator(4, 8, 2),
        style_bank=known,
        training=False,
        eval=lambda: None,
        train=lambda mode: None,
    )
    pairs = torch.ones(2, 2, 32, 32)
    pairs[0, :, 4:12], pairs[1, :, 20:28] = -1, -1
    blots, styles = blots_in_styles(module, pairs, 3)
    assert blots.shape == (2, 3, 32, 32)
    assert styles[:, 0].tolist() != [styles[0, 0]] * 3
    for row in blots:
        papers = row.flatten(1).float().quantile(0.8, dim=1)
        assert (papers - styles[:, 0]).abs().max() < 10
