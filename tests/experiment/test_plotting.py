"""What all figures share: the file, the stamp, lines and limits."""

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from experiment.plotting import (
    figure,
    from_zero,
    image_grid,
    mark_best,
    plot_by_epoch,
    reference_line,
    show_image,
)


@pytest.fixture
def axes():
    return Figure().subplots()


def test_a_figure_of_the_sample_says_so(tmp_path):
    for sample in (False, True):
        path = tmp_path / f"{sample}.png"
        with figure(path, (4, 2), "A line", "Up.", sample) as fig:
            fig.subplots().plot([0, 1])
        assert (fig.get_suptitle() == "SAMPLE DATA (synthetic)") == sample
        with Image.open(path) as image:
            assert image.text["Title"] == "A line"
            said = "Sample data (synthetic). Up." if sample else "Up."
            assert image.text["Description"] == said


def test_characters_without_a_font_are_one_line(tmp_path, caplog):
    for name in "ab":
        with figure(tmp_path / f"{name}.png", (4, 2), "A line") as fig:
            fig.subplots().set_title("\ue000\ue001")  # of private use: in no font
    assert caplog.text.count("no installed font") == 1


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="no"), figure(tmp_path / "a.png", (4, 2), "A"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [[2.0, 1.0], [-3.0, 1.0], [-3.0, -1.0], [math.nan, 2.0], []])
def test_curves_are_drawn_from_zero(axes, values):
    plot_by_epoch(axes, dict(enumerate(values, start=1)), "", "k")
    from_zero(axes)
    low, high = axes.get_ylim()
    assert low <= 0 <= high
    assert low == 0 or min(values) < 0
    assert all(low < value < high for value in values if math.isfinite(value))


@pytest.mark.parametrize("value", [0.0, -2.0, 20.0])
def test_lines_and_marks_stay_in_view(axes, value):
    plot_by_epoch(axes, {1: 5.0, 2: 6.0}, "", "k")
    room = axes.get_ylim()[1]
    mark_best(axes, 2, 6.0, "best")
    assert axes.get_ylim()[1] > room
    reference_line(axes, value, "x")
    low, high = axes.get_ylim()
    assert low < value < high


def test_images_of_one_and_three_channels():
    for image in (torch.rand(8, 8), torch.rand(1, 8, 8), torch.rand(3, 8, 8) * 2):
        [[axes]] = image_grid(Figure(), 1, 1)
        show_image(axes, image, "title")
        shown = np.asarray(axes.images[0].get_array())
        assert shown.shape[:2] == (8, 8)
        assert 0 <= shown.min() <= shown.max() <= 1
