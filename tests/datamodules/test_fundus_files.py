import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from datamodules.fundus_files import find_photographs, plain_images, training_split


def test_official_layout_pairs_by_name(official):
    # Sorted last among the images, first among the masks: pairing by position would break.
    (official / "test/images/01_test.tif").rename(official / "test/images/zz_test.tif")
    (official / "test/mask/01_test_mask.gif").rename(official / "test/mask/zz_test_mask.gif")
    for observer in (1, 2):
        old = official / f"test/{['1st', '2nd'][observer - 1]}_manual/01_manual{observer}.gif"
        old.rename(old.with_name(f"zz_manual{observer}.gif"))
    splits = find_photographs(official).splits
    assert [len(splits[split]) for split in ("training", "test")] == [6, 3]
    for files in splits["training"] + splits["test"]:
        key = files.name[:2]
        assert files.vessels.name.startswith(key)
        assert files.fov.name.startswith(key)
        assert files.second is None or files.second.name.startswith(key)


@pytest.mark.parametrize("name", ["1st_manual", "mask"])
def test_a_folder_of_hidden_files_is_no_folder_of_masks(official, name):
    for path in (official / "test" / name).iterdir():
        path.unlink()
    (official / "test" / name / ".DS_Store").write_text("x")
    (official / "test" / "images" / "._01_test.tif").write_text("x")
    files = find_photographs(official).splits["test"]
    assert len(files) == 3
    assert files[0].vessels is None or files[0].fov is None


def test_masks_in_a_format_that_is_not_read_are_not_passed_over(official):
    folder = official / "test" / "1st_manual"
    for path in folder.iterdir():
        path.rename(path.with_suffix(".npy"))
    with pytest.raises(DataError, match="1st_manual: holds no image"):
        find_photographs(official)


def write(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)
    return root


# Photograph 2 of each set as it is downloaded, and what belongs to it.
LAYOUTS = {
    "CHASE_DB1": ("Image_{}L.jpg", "Image_{}L_1stHO.png", None, "Image_{}L_2ndHO.png"),
    "CHASE_DB1 in DRIVE's": ("images/Image_{}L.jpg", "1st_manual/Image_{}L_1stHO.png", None, None),
    "STARE": ("im000{}.ppm", "im000{}.ah.ppm", None, "im000{}.vk.ppm"),
    "STARE in folders": (
        "stare-images/im000{}.ppm",
        "labels-ah/im000{}.ah.ppm",
        None,
        "labels-vk/im000{}.vk.ppm",
    ),
    "HRF": ("images/{}_h.jpg", "manual1/{}_h.tif", "mask/{}_h_mask.tif", None),
    "FIVES": ("Original/{}_A.png", "Ground truth/{}_A.png", None, None),
    "masks": ("images/{}.png", "masks/{}.png", None, None),
    "labels": ("images/{}.png", "labels/{}_drawn.bmp", None, None),
    "photographs": ("{}.png", None, None, None),
    "photographs in folders": ("{}/eye.png", None, None, None),
}


@pytest.mark.parametrize("names", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("split", ["", "train/"])
def test_sets_as_they_are_downloaded(tmp_path, names, split):
    for number in (1, 2, 12):
        write(tmp_path, *(split + name.format(number) for name in names if name))
    if split and names[0] == "{}/eye.png":
        return  # only without splits
    found = find_photographs(tmp_path)
    (files,) = found.splits.values()
    one = next(one for one in files if one.image.match(names[0].format(2)))
    expected = [name and tmp_path / split / name.format(2) for name in names[1:]]
    assert [one.vessels, one.fov, one.second] == expected
    assert len(files) == 3
    assert found.layout.count("vessels") == (names[1] is not None)


def test_splits_that_are_not_given_are_drawn_by_person(tmp_path):
    write(tmp_path, *(f"Image_{n:02d}{side}.jpg" for n in range(1, 15) for side in "LR"))
    splits = find_photographs(tmp_path, seed=0).splits
    train, val = training_split(tmp_path, 4, seed=0)
    folded = training_split(tmp_path, 4, 0, folds=3, fold=1)
    for parts in ((train, val, splits["test"]), (*folded, splits["test"])):
        persons = [{one.name[:8] for one in part} for part in parts]
        assert sum(map(len, parts)) == 28
        assert len(set.union(*persons)) == sum(map(len, persons)) == 14
    assert (len(val), len(splits["test"])) == (4, 6)
    assert training_split(tmp_path, 4, seed=0) == (train, val)
    assert training_split(tmp_path, 4, seed=1) != (train, val)


def test_given_validation_photographs_are_used(tmp_path):
    write(tmp_path, *(f"{split}/{n}.png" for split in ("train", "val") for n in range(3)))
    train, val = training_split(tmp_path, 1, seed=0)
    assert {one.image.parent.name for one in train} == {"train"}
    assert [one.name for one in val] == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["im0012.ppm", "im0012.ah.ppm", "im0013.ah.ppm"],
            r"im0013\.ah\.ppm: has no image .*3\*",
        ),
        (["im0012.ppm", "im0013.ppm", "im0013.ah.ppm"], r"im0012\.ppm: has no mask .*im0012\*"),
        (["images/1.png", "images/1.jpg"], r"1\.jpg and .*1\.png: two files for '1'"),
        (["images/1.png", "masks/1_a.png", "masks/1_b.png"], "1_a.png and .*1_b.png: two files"),
    ],
)
def test_files_that_do_not_pair_are_named(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        find_photographs(write(tmp_path, *names))


@pytest.mark.parametrize(
    ("names", "recursive", "kept"),
    [
        (["a.png", "a_mask.png"], False, ["a.png"]),
        (["a_mask.png"], False, ["a_mask.png"]),
        (["images/a.png"], False, ["a.png"]),
        (["x/images/a.png", "x/1st_manual/a.png"], True, ["x/images/a.png"]),
        (["masks/a.png"], True, ["masks/a.png"]),
        (["left/a.png", "right/a.png"], True, ["left/a.png", "right/a.png"]),
    ],
)
def test_predict_leaves_drawings_out_and_says_so(tmp_path, caplog, names, recursive, kept):
    files = plain_images(write(tmp_path, *names), recursive)
    assert [one.name for one in files] == kept
    assert ("drawings left out" in caplog.text) == (len(kept) < len(names))
