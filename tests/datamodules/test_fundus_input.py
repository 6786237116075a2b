import numpy as np
import pytest

from common.errors import DataError
from datamodules.fundus_files import FundusFiles
from datamodules.fundus_input import FundusInput


def test_size_and_diameter_contradict_each_other():
    with pytest.raises(DataError, match=r"data\.inputs\.diameter: 300 beside a size of 512"):
        FundusInput(size=512, diameter=300)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("side", [1, 3, 200])
def test_constant_photographs_give_finite_input(tmp_path, fundus, value, side):
    fundus.write(tmp_path, "flat.png", np.full((side, side, 3), value, np.uint8))
    item = FundusInput("rgb", None, diameter=64, local_normalization=20).read(
        FundusFiles(tmp_path / "flat.png")
    )
    assert item["image"].isfinite().all()
    assert item["fov"].any()


def test_gray_is_luminance(tmp_path, fundus):
    pixels = fundus.photograph(1)
    fundus.write(tmp_path, "a.png", pixels)
    gray = FundusInput("gray", size=None).read(FundusFiles(tmp_path / "a.png"))["image"]
    luminance = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs((gray[0].numpy() + 1) * 127.5 - luminance).max() < 1.01
