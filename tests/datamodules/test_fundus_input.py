import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import DataError
from datamodules.fundus_files import FundusFiles, find_photographs
from datamodules.fundus_input import FundusInput, read_mask, read_masks


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


def test_second_observer_is_a_palette_file_of_two_near_black_and_white_grays(official, fundus):
    files = find_photographs(official).splits["test"][1]
    assert set(np.unique(Image.open(files.second).convert("L"))) == {3, 253}
    mask = read_mask(files.second, files.image, fundus.size)
    assert mask.dtype == torch.bool
    assert torch.equal(mask[0], torch.from_numpy(fundus.vessels(2) > 0))


def test_smoothed_edges_become_binary(tmp_path, fundus):
    height, width = (4 * side for side in fundus.size)
    mask = Image.fromarray(fundus.vessels(5)).resize((width, height), Image.Resampling.BICUBIC)
    mask.save(tmp_path / "mask.png")
    read = read_mask(tmp_path / "mask.png", tmp_path / "image.png", (height, width))
    assert len(np.unique(mask)) > 10
    assert 0 < read.float().mean() < 0.1


def test_colors_of_a_mask_are_drawn_and_other_labels_are_refused(tmp_path, fundus, caplog):
    drawn = fundus.vessels(5) > 0
    left = np.arange(drawn.shape[1]) < 18
    color = np.zeros((*drawn.shape, 3), np.uint8)
    color[drawn & left], color[drawn & ~left] = (255, 0, 0), (0, 0, 255)  # arteries and veins
    Image.fromarray(color).save(tmp_path / "av.png")
    with caplog.at_level("INFO"):
        mask = read_mask(tmp_path / "av.png", tmp_path / "image.png", fundus.size)
    assert np.array_equal(mask[0], drawn)
    assert "masks in color or several grays" in caplog.text
    labels = drawn.astype(np.uint8)
    labels[30, 20:22] = 255  # not judged
    Image.fromarray(labels).save(tmp_path / "labels.png")
    with pytest.raises(DataError, match=r"labels\.png: not a binary mask \(gray 0 to 255, 92% in"):
        read_mask(tmp_path / "labels.png", tmp_path / "image.png", fundus.size)
    Image.fromarray(np.where(drawn & left, 76, drawn * np.uint8(29))).save(tmp_path / "gray.png")
    with pytest.raises(DataError, match=r"not a binary mask \(gray 0 to 76"):
        read_mask(tmp_path / "gray.png", tmp_path / "image.png", fundus.size)


@pytest.mark.parametrize(
    ("vessels", "fov", "message"),
    [
        ("inverted", "right", r"9\d% of the field of view of .*image.png is vessel"),
        ("inverted", None, r"9\d% of the field of view"),
        ("fov", "vessels", r"100% of the field of view of .* is vessel"),
        ("right", "inverted", r"100% of the vessels lie outside; invert a mask"),
    ],
)
def test_inverted_and_swapped_masks_are_refused(tmp_path, fundus, vessels, fov, message):
    right = {"vessels": fundus.vessels(5), "fov": fundus.fov}
    masks = {
        "vessels": {"inverted": 255 - right["vessels"], "right": right["vessels"], **right},
        "fov": {"inverted": 255 - right["fov"], "right": right["fov"], **right},
    }
    fundus.write(tmp_path, "vessels.png", masks["vessels"][vessels])
    if fov:
        fundus.write(tmp_path, "fov.png", masks["fov"][fov])
    files = FundusFiles(
        tmp_path / "image.png", tmp_path / "vessels.png", tmp_path / "fov.png" if fov else None
    )
    with pytest.raises(DataError, match=rf"vessels\.png: .*{message}") as error:
        read_masks(files, fundus.size)
    assert "\n" not in str(error.value)
