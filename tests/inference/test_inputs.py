"""All that stands for an image gives the same; what does not is refused in one line."""

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from inference import load


@pytest.fixture
def model(trained):
    return load(trained("aoi"), device="cpu")


@pytest.fixture
def panel(tmp_path):
    path = tmp_path / "panel.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    return path


def test_path_image_and_array_are_one(model, panel):
    image = Image.open(panel)
    results = [model.predict(x) for x in (panel, str(panel), image, np.array(image))]
    assert [result.name for result in results] == ["panel.png", "panel.png", "image", "image"]
    for result in results[1:]:
        assert result.probabilities == results[0].probabilities
        assert np.array_equal(result.heatmap, results[0].heatmap)


def test_gray_arrays_of_any_depth(model, panel):
    gray, expected = np.array(Image.open(panel).convert("L")), model.predict(panel).probabilities
    for scaled in (gray, gray.astype(np.uint16) * 257, gray / np.float32(255)):
        assert model.predict(scaled).probabilities == expected
    assert model.predict(gray[::2, ::2]).image.size == (32, 24)  # not contiguous


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((8, 8), bool), "image: an array 8x8 of bool is not an image; give a path"),
        (np.full((8, 8), -0.5), "image: values from -0.5 to -0.5; save"),
        (np.zeros((8, 8, 4), np.uint8), "image: an array 8x8x4 of"),
        (np.zeros((3, 8, 8), np.uint8), "image: an array 3x8x8 of"),
        (np.zeros((8,), np.uint8), "image: an array 8 of"),
        (np.zeros((0, 8), np.uint8), "image: an array 0x8 of"),
        (Image.new("RGBA", (8, 8)), "image: transparent pixels"),
        (Image.new("CMYK", (8, 8)), "image: CMYK colors; save it as gray or RGB"),
        (7, "int is not an image; give a path, a PIL image"),
        ("gone.png", "gone.png: no such file"),
    ],
)
def test_no_image(model, x, message):
    with pytest.raises(DataError, match=message) as error:
        model.predict(x)
    assert "\n" not in str(error.value)


def test_a_file_that_is_cut_off_and_an_empty_folder(model, tmp_path, panel):
    panel.write_bytes(panel.read_bytes()[:400])
    with pytest.raises(DataError, match="not a readable image"):
        model.predict(Image.open(panel))  # Pillow has not read its pixels yet
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no image"):
        model.predict(tmp_path / "empty")


def test_many_are_read_as_they_are_asked_for(trained, panel):
    model, read = load(trained("aoi"), batch_size=2), []

    def images():
        for i in range(5):
            read.append(i)
            yield panel

    results = model.predict(images())
    assert read == []
    next(results)
    assert 2 <= len(read) <= 4  # a batch ahead
    assert len(list(results)) == 4
    with pytest.raises(DataError, match="image 1: int is not an image"):
        list(model.predict([panel, 3]))
    assert list(model.predict([])) == []


def test_a_batch_gives_what_single_images_give(model, panel, tmp_path):
    other = tmp_path / "other.png"
    Image.new("L", (20, 30), 90).save(other)
    for result in model.predict([panel, other]):
        alone = model.predict(tmp_path / result.name)
        found, expected = (list(r.probabilities.values()) for r in (result, alone))
        torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)  # in bf16, if native
