import csv

import pytest
import torch
from conftest import ROOT

from common.errors import DataError
from datamodules.aoi_files import UNLABELED, check_images, read_table, stratified_split

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
        ([("ID", "Label"), ("a.png", "9" * 5000)], r"line 2: label '9+' of a\.png is not in 0-5"),
        ([("ID", "Label"), ("a.png", "-1")], "label '-1' of a"),
        ([("ID", "Label"), ("a.png", "one")], "label 'one' of a"),
        ([("ID", "Label"), ("a.png", "")], "label '' of a"),
        ([("ID", "Label"), ("", "1")], "line 2: the ID is empty"),
    ],
)
def test_bad_tables_are_named(tmp_path, rows, message):
    path = write_csv(tmp_path / "train.csv", *rows)
    with pytest.raises(DataError, match=rf"train\.csv.*{message}") as error:
        read_table(path, 6, labeled=True)
    assert len(str(error.value)) < 300 + len(str(path))


def test_rows_keep_their_order(tmp_path):
    names = [f"{number * 7 % 1000:04d}.png" for number in range(1000)]
    rows = [(name, str(number % 6)) for number, name in enumerate(names)]
    table = read_table(write_csv(tmp_path / "train.csv", ("ID", "Label"), *rows), 6, labeled=True)
    assert table.names.tolist() == names
    assert table.labels.tolist() == [number % 6 for number in range(1000)]


def test_the_first_repetition_is_named_among_many(tmp_path):
    rows = [(f"{number}.png", 0) for number in range(500)]
    rows += [("77.png", 0), ("3.png", 0)]
    path = write_csv(tmp_path / "train.csv", ("ID", "Label"), *rows)
    with pytest.raises(DataError, match=r"line 502: 77\.png is listed twice"):
        read_table(path, 6, labeled=True)


def test_test_table_may_be_without_labels_but_not_half(tmp_path):
    path = write_csv(tmp_path / "test.csv", ("ID", "Label"), ("a.png", ""), ("b.png", ""))
    table = read_table(path, 6, labeled=False)
    assert table.names.tolist() == ["a.png", "b.png"]
    assert table.labels.tolist() == [UNLABELED, UNLABELED]
    write_csv(path, ("ID", "Label"), ("a.png", ""), ("b.png", "1"))
    with pytest.raises(DataError, match="some rows have a label and some have none"):
        read_table(path, 6, labeled=False)


def test_missing_images_are_counted_and_a_folder_is_no_image(tmp_path):
    rows = [(f"{number}.png", 0) for number in range(1200)]
    path = write_csv(tmp_path / "train.csv", ("ID", "Label"), *rows)
    table = read_table(path, 6, labeled=True)
    folder = tmp_path / "train_images"
    with pytest.raises(DataError, match="train_images: no such folder"):
        check_images(table, folder, path)
    folder.mkdir()
    for name, _ in rows[1:]:
        (folder / name).touch()
    (folder / "0.png").mkdir()
    with pytest.raises(DataError, match=r"1 of the 1,200 images .* missing, first 0\.png"):
        check_images(table, folder, path)


def test_split_is_stratified_seeded_and_complete():
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 3)
    train, val = stratified_split(labels, 0.15, seed=0)
    assert sorted(train.tolist() + val.tolist()) == list(range(63))
    assert torch.bincount(labels[val]).tolist() == [6, 3, 1]
    again = stratified_split(labels, 0.15, seed=0)
    assert train.equal(again[0])
    assert val.equal(again[1])
    assert not val.equal(stratified_split(labels, 0.15, seed=1)[1])


def test_a_class_of_one_image_cannot_be_split():
    with pytest.raises(DataError, match="class 3 has 1 training image"):
        stratified_split(torch.tensor([0, 0, 1, 1, 2, 2, 3, 4, 4]), 0.15, seed=0)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real AOI tables in ../shared/data/AOI")
def test_real_tables():
    train = read_table(REAL / "train.csv", 6, labeled=True)
    assert len(train.names) == 2528
    assert len(read_table(REAL / "test.csv", 6, labeled=False).names) == 10142
    with pytest.raises(DataError, match="2,522 of the 2,528 images"):
        check_images(train, REAL / "train_images", REAL / "train.csv")
