"""What all figures share: the file, the stamp, lines and limits."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from experiment.plotting import (
    figure,
    image_grid,
    mark_best,
    plot_by_epoch,
    show_image,
)


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


def test_the_best_epoch_is_marked_with_room_for_its_text():
    axes = Figure().subplots()
    plot_by_epoch(axes, {1: 5.0, 2: 6.0}, "", "k")
    high = axes.get_ylim()[1]
    mark_best(axes, 2, 6.0, "best")
    assert axes.get_ylim()[1] > high
    assert [text.get_text() for text in axes.texts] == [" best "]


def test_images_of_one_and_three_channels():
    for image in (torch.rand(8, 8), torch.rand(1, 8, 8), torch.rand(3, 8, 8) * 2):
        [[axes]] = image_grid(Figure(), 1, 1)
        show_image(axes, image, "title")
        shown = np.asarray(axes.images[0].get_array())
        assert shown.shape[:2] == (8, 8)
        assert 0 <= shown.min() <= shown.max() <= 1
