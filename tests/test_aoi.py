import csv

import numpy as np
import pytest
import torch
from conftest import ROOT, aoi_args
from PIL import Image

from cli import main
from datamodules.aoi import UNLABELLED, check_images, read_table, stratified_split
from datamodules.errors import DataError
from datamodules.images import read_image

REAL = ROOT.parent / "shared" / "data" / "AOI"


def write_csv(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no column ID or Label"),
        ([("ID", "Class"), ("a.png", "1")], "no column Label"),
        ([("ID", "Label")], "holds no rows"),
        ([("ID", "Label"), ("a.png", "1"), ("a.png", "2")], r"line 3: a\.png is listed twice"),
        ([("ID", "Label"), ("a.png", "6")], r"line 2: label '6' of a\.png is not in 0-5"),
        ([("ID", "Label"), ("a.png", "-1")], "label '-1' of a"),
        ([("ID", "Label"), ("a.png", "one")], "label 'one' of a"),
        ([("ID", "Label"), ("a.png", "")], "label '' of a"),
        ([("ID", "Label"), ("", "1")], "line 2: the ID is empty"),
    ],
)
def test_bad_tables_are_named(tmp_path, rows, message):
    path = write_csv(tmp_path / "train.csv", *rows)
    with pytest.raises(DataError, match=rf"train\.csv.*{message}"):
        read_table(path, 6, labelled=True)


def test_test_table_may_be_without_labels_but_not_half(tmp_path):
    path = write_csv(tmp_path / "test.csv", ("ID", "Label"), ("a.png", ""), ("b.png", ""))
    assert read_table(path, 6, labelled=False) == [("a.png", UNLABELLED), ("b.png", UNLABELLED)]
    write_csv(path, ("ID", "Label"), ("a.png", ""), ("b.png", "1"))
    with pytest.raises(DataError, match="some rows have a label and some have none"):
        read_table(path, 6, labelled=False)


def test_missing_layout_is_named_before_training(aoi_folder, tmp_path):
    def fit(message):
        with pytest.raises(DataError, match=message):
            main(["fit", *aoi_args(aoi_folder, tmp_path / "runs")])
        assert not list((tmp_path / "runs" / "aoi").iterdir()), "bad input leaves no run behind"

    (aoi_folder / "train_images" / "train_00005.png").unlink()
    fit(r"train_images: 1 of the 48 images .* missing, first train_00005\.png")
    (aoi_folder / "train_images").rename(aoi_folder / "elsewhere")
    fit("train_images: no such folder")
    (aoi_folder / "train.csv").unlink()
    fit(r"train\.csv: no such file")
    aoi_folder.rename(aoi_folder.with_name("moved"))
    fit(r"images: no such folder \(data_dir\)")


def test_class_without_enough_images_is_named(aoi_folder, tmp_path):
    names = [f"train_{i:05d}.png" for i in range(9)]
    labels = [0, 0, 1, 1, 2, 2, 3, 4, 4]
    write_csv(aoi_folder / "train.csv", ("ID", "Label"), *zip(names, labels, strict=True))
    with pytest.raises(DataError, match="no image of class 5"):
        main(["fit", *aoi_args(aoi_folder, tmp_path / "runs")])
    with pytest.raises(DataError, match="class 3 has 1 training image"):
        stratified_split(torch.tensor(labels), 0.15, seed=0)


def test_split_is_stratified_seeded_and_complete():
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 3)
    train, val = stratified_split(labels, 0.15, seed=0)
    assert sorted(train + val) == list(range(63))
    assert torch.bincount(labels[val]).tolist() == [6, 3, 1]
    assert (train, val) == stratified_split(labels, 0.15, seed=0)
    assert val != stratified_split(labels, 0.15, seed=1)[1]


def test_unlabelled_test_set_says_what_to_do(aoi_folder, tmp_path):
    main(["fit", *aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1")])
    rows = [(f"test_{i:05d}.png", "") for i in range(12)]
    write_csv(aoi_folder / "test.csv", ("ID", "Label"), *rows)
    with pytest.raises(DataError, match=r"test\.csv: has no labels to test against; `validate`"):
        main(["test", *aoi_args(aoi_folder, tmp_path, "--ckpt_path=last")])
    main(["predict", *aoi_args(aoi_folder, tmp_path, "--ckpt_path=last")])
    (predictions,) = tmp_path.glob("aoi/*/predictions.csv")
    assert len(predictions.read_text().splitlines()) == 13


def test_image_modes(tmp_path):
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    path = tmp_path / "image.png"

    def save(image):
        image.save(path)
        return path

    for image in (
        Image.fromarray(gray),
        Image.fromarray(gray).convert("P"),
        Image.fromarray(gray).convert("RGB"),
        Image.fromarray(gray).convert("RGBA"),  # opaque
    ):
        assert torch.equal(read_image(save(image), "L")[0], torch.from_numpy(gray)), image.mode
        assert read_image(path, "RGB").shape == (3, 8, 8)
    clear = Image.fromarray(gray).convert("RGBA")
    clear.putalpha(128)
    with pytest.raises(DataError, match=r"image\.png: transparent pixels"):
        read_image(save(clear), "L")
    with pytest.raises(DataError, match=r"image\.png: more than 8 bits"):
        read_image(save(Image.fromarray(gray.astype(np.uint16))), "L")
    save(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"image\.png: not a readable image"):
        read_image(path, "L")
    path.write_text("no image")
    with pytest.raises(DataError, match=r"image\.png: not a readable image"):
        read_image(path, "L")


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real AOI tables in ../shared/data/AOI")
def test_real_tables():
    assert len(read_table(REAL / "train.csv", 6, labelled=True)) == 2528
    table = read_table(REAL / "test.csv", 6, labelled=False)
    assert len(table) == 10142
    with pytest.raises(DataError, match="2,522 of the 2,528 images"):
        check_images(
            read_table(REAL / "train.csv", 6, True), REAL / "train_images", REAL / "train.csv"
        )
