"""Each result shows itself, in a picture of a sensible size."""

import io

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from inference import load, results

TASKS = ["aoi", "vessels", "vessels_best", "retina_best", "blots"]


def one(model, config):
    image = np.tile(np.arange(60, dtype=np.uint8)[:, None], (1, 80))
    return model.predict(image, image) if config == "blots" else model.predict(image)


@pytest.mark.parametrize("config", TASKS)
def test_a_result_shows_itself(config, trained):
    result = one(load(trained(config)), config)
    picture = result.show()
    assert picture.mode == "RGB"
    assert 300 < picture.width < 3000
    assert np.array(picture).std() > 10
    with Image.open(io.BytesIO(result._repr_png_())) as png:
        assert png.format == "PNG"
        assert np.array_equal(np.array(png), np.array(picture))
    assert len(repr(result)) < 500, "arrays are left out"


def test_blots_are_of_two_templates(trained, tmp_path):
    model = load(trained("blots"))
    image = Image.new("L", (20, 20), 128)
    assert model.predict((image, image)).image.size == (16, 16)
    assert len(list(model.predict([(image, image)] * 3))) == 3
    for bad, message in (
        (image, "one image: a blot is made of several templates"),
        ((image,), r"1 template\(s\); give 2, as a tuple"),
        (
            (image, Image.new("L", (20, 21))),
            "is 20x20 px, .* is 20x21 px; give templates of one size",
        ),
        (tmp_path, "holds no image"),
    ):
        with pytest.raises(DataError, match=message):
            model.predict(bad)
    with pytest.raises(DataError, match=r"template\(s\); give 2"):
        list(model.predict([image]))


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000), (4000, 3000)])
def test_pictures_of_any_size_are_shown(size):
    picture = results.panels(
        [("a title that is far too long for its panel" * 2, Image.new("L", size))]
    )
    assert 300 < picture.width < 1000
    assert picture.height < 1000
