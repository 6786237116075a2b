"""What all figures share: the file, the stamp, lines and limits."""

import pytest
from PIL import Image

from experiment.plotting import figure


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


def test_characters_without_a_font_are_one_line(tmp_path):
    with (
        pytest.warns(UserWarning, match="no installed font") as caught,
        figure(tmp_path / "a.png", (4, 2), "A line") as fig,
    ):
        fig.subplots().set_title("\ue000\ue001")  # of private use: in no font
    assert len(caught) == 1
