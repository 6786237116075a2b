"""Blots in several styles, and their spectra."""

from types import SimpleNamespace

import numpy as np
import torch

from callbacks.figures.blots import blots_in_styles, mean_log_power, radial_mean
from lit_models.networks import StyledBlotGenerator
from lit_models.networks.styled_blot_generator import typical_style


def test_a_grid_is_seen_in_the_spectrum():
    rng = np.random.default_rng(0)
    white = rng.standard_normal((20, 64, 48))
    y, x = np.mgrid[:64, :48]
    grid = white + 2 * ((x + y) % 2)
    frequencies, plain = radial_mean(mean_log_power(white))
    assert frequencies[-1] == 0.5
    assert np.ptp(plain[3:]) < 0.3, "white noise is flat"
    assert mean_log_power(grid)[0, 0] > mean_log_power(white)[0, 0] + 2, "the highest frequency"


def test_lines_of_one_frequency_are_at_their_place():
    lines = np.sin(2 * np.pi * np.arange(64) / 8)[None, None].repeat(64, 1)
    frequencies, power = radial_mean(mean_log_power(lines))
    assert frequencies[power.argmax()] == 1 / 8


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
