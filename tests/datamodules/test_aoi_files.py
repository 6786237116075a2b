import csv

import numpy as np
import pytest
import torch
from conftest import write_aoi
from PIL import Image

from common.errors import DataError
from datamodules.aoi_files import AIDEA_NAMES, UNLABELED, find_images, stratified_split


def write_csv(path, *rows, **options):
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as file:
        csv.writer(file, **options).writerows(rows)
    return path


def write_images(folder, *names, side=8):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((side, side), np.uint8)).save(folder / name)
    return folder


def found(folder, split="train", **options):
    files = find_images(folder, split, **options)
    return dict(zip(files.names, files.labels, strict=True))


def test_folders_are_classes_in_natural_order(tmp_path):
    write_images(tmp_path, "type 10/a.png", "type 9/a.png", "good/deep/b.png", "test/good/c.png")
    files = find_images(tmp_path, "train")
    assert files.class_names() == ["good", "type 9", "type 10"]
    assert files.names == ["good/deep/b.png", "type 9/a.png", "type 10/a.png"]
    assert found(tmp_path, "test") == {"test/good/c.png": "good"}
    assert find_images(tmp_path, "val") is None


def test_split_folders_are_the_splits(tmp_path):
    write_images(tmp_path, "training/a/1.png", "training/b/1.png", "valid/a/2.png", "test/3.png")
    assert found(tmp_path) == {"training/a/1.png": "a", "training/b/1.png": "b"}
    assert found(tmp_path, "val") == {"valid/a/2.png": "a"}
    assert found(tmp_path, "test") == {"test/3.png": ""}


@pytest.mark.parametrize(
    "options",
    [{}, {"delimiter": ";"}, {"delimiter": "\t"}, {"encoding": "utf-8-sig"}],
    ids=["comma", "semicolon", "tab", "bom"],
)
@pytest.mark.parametrize(
    "name", ["{0}/{0}.png", "{0}.png", "{0}/{0}", "{0}", "elsewhere/{0}.png", "x\\{0}.png"]
)
def test_a_table_finds_files_by_its_names(tmp_path, options, name):
    write_images(tmp_path, "a/a.png", "b/b.png")
    rows = [("Filename", "size", "Class"), (name.format("b"), 3, "cat"), (name.format("a"), 4, "é")]
    write_csv(tmp_path / "labels.csv", *rows, **options)
    assert found(tmp_path) == {"b/b.png": "cat", "a/a.png": "é"}


def test_a_split_column_splits(tmp_path):
    write_images(tmp_path, "1.png", "2.png", "3.png")
    rows = [("file", "label", "split"), ("1", "x", "Train"), ("2", "y", "valid"), ("3", "", "test")]
    write_csv(tmp_path / "all.csv", *rows)
    splits = [found(tmp_path, split) for split in ("train", "val", "test")]
    assert splits == [{"1.png": "x"}, {"2.png": "y"}, {"3.png": ""}]


def test_a_chosen_table_with_chosen_columns(tmp_path):
    write_images(tmp_path / "images", "1.png")
    rows = ("photo", "what"), ("1.png", "7")
    table = str(write_csv(tmp_path / "other.csv", *rows))
    files = find_images(tmp_path / "images", "train", table, ["photo", "what"])
    assert files.class_names() == ["class 7"]
    assert files.targets(["class 7"]).tolist() == [0]
    with pytest.raises(
        DataError, match=r"other\.csv: has the columns photo, what; needs file names"
    ):
        find_images(tmp_path / "images", "train", table)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "needs file names and labels"),
        ([("ID", "File", "Label")], "has the columns ID, File, Label; needs file names"),
        ([("ID", "Label")], "holds no rows"),
        ([("ID", "Label"), ("a.png", "1"), ("a.png", "2")], r"line 3: a\.png is listed twice"),
        ([("ID", "Label"), ("a.png", "")], r"line 2: no label of a\.png"),
        ([("ID", "Label"), ("", "1")], "line 2: the ID is empty"),
        ([("ID", "Label", "Split"), ("a.png", "1", "tset")], "line 2: split 'tset'"),
        ([("ID", "Label"), ("a.png", "1"), ("x/b.png", "1")], r"1 of the 2 .* first x/b\.png"),
    ],
)
def test_bad_tables_are_named(tmp_path, rows, message):
    write_images(tmp_path, "a.png")
    path = write_csv(tmp_path / "labels.csv", *rows)
    with pytest.raises(DataError, match=message) as error:
        find_images(tmp_path, "train", str(path))
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"ID,Label\na.png,\xff\n", "UTF-8"), (b'ID,Label\n"a.png,1\n', "not a table")],
)
def test_what_is_no_table_is_named(tmp_path, text, message):
    write_images(tmp_path, "a.png")
    (tmp_path / "train.csv").write_bytes(text)
    with pytest.raises(DataError, match=rf"train\.csv: .*{message}"):
        find_images(tmp_path, "train")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["1.png", "2.png"], "1.png lies in no class folder; data_dir holds one folder per class"),
        (["train/1.png"], r"train/1\.png lies in no class folder"),
        (["test/1.png"], "every image lies in no class folder"),
        (["train_images/1.png"], r"train\.csv: no such file"),
    ],
)
def test_unknown_layouts_show_the_known_ones(tmp_path, files, message):
    with pytest.raises(DataError, match=message) as error:
        find_images(write_images(tmp_path, *files), "train")
    assert "docs/data.md" in str(error.value) or "train_images/" in str(error.value)


def test_tables_and_names_that_are_not_clear(tmp_path):
    write_images(tmp_path, "x/1.png", "y/1.png")
    write_csv(tmp_path / "a.csv", ("ID", "Label"), ("1.png", "0"))
    with pytest.raises(DataError, match=r"a\.csv: 1\.png may be x/1\.png and y/1\.png"):
        find_images(tmp_path, "train")
    write_csv(tmp_path / "b.csv", ("ID", "Label"), ("x/1.png", "0"))
    with pytest.raises(DataError, match=r"several tables \(a\.csv, b\.csv\); .* --data\.table"):
        find_images(tmp_path, "train")


def test_aidea_layout_and_whose_names_it_gets(tmp_path):
    write_aoi(tmp_path)
    files = find_images(tmp_path, "train")
    assert files.names == [f"train_{i:05d}.png" for i in range(48)]
    assert files.class_names() == [f"class {i}" for i in range(6)]  # of 32 px, as AIdea's never are
    for class_names in (files.class_names(), list("abcdef")):
        assert files.targets(class_names).tolist() == [i % 6 for i in range(48)]
    write_images(tmp_path / "train_images", "train_00000.png", side=512)
    assert files.class_names() == list(AIDEA_NAMES)
    with pytest.raises(DataError, match=r"label '3' of train_00003\.png is none of .*\(a, b, c\)"):
        files.targets(["a", "b", "c"])


def test_test_table_may_be_without_labels_but_not_half(tmp_path):
    write_aoi(tmp_path)
    rows = [(f"test_{i:05d}.png", "") for i in range(12)]
    path = write_csv(tmp_path / "test.csv", ("ID", "Label"), *rows)
    assert set(find_images(tmp_path, "test").targets(AIDEA_NAMES).tolist()) == {UNLABELED}
    write_csv(path, ("ID", "Label"), *rows[1:], ("test_00000.png", "1"))
    with pytest.raises(DataError, match=r"label '' of test_\d+\.png is none of"):
        find_images(tmp_path, "test").targets(AIDEA_NAMES)


def test_split_is_stratified_seeded_and_complete():
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 3 + [3])
    train, val = stratified_split(labels, 0.15, seed=0)
    assert sorted(train.tolist() + val.tolist()) == list(range(64))
    assert torch.bincount(labels[val], minlength=4).tolist() == [6, 3, 1, 0]
    again = stratified_split(labels, 0.15, seed=0)
    assert train.equal(again[0])
    assert val.equal(again[1])
    assert not val.equal(stratified_split(labels, 0.15, seed=1)[1])
