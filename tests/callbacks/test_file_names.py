"""Names of files that are no UTF-8, or that a spreadsheet would run."""

import json
import os
import shutil

import pytest
from conftest import read_table

from common.errors import DataError
from inference import load

BIG5 = os.fsdecode("正常".encode("big5"))  # as unzip leaves it


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
@pytest.mark.parametrize("config", ["aoi", "vessels"])
def test_every_file_is_predicted_or_skipped(config, trained, predict, tmp_path):
    run = trained(config)
    image = load(run).examples(1)[0]
    folder = str(tmp_path / "in")
    os.mkdir(folder)
    for stem in ("a", BIG5, "=b"):
        shutil.copy(image, f"{folder}/{stem}.png")
    with open(f"{folder}/z{BIG5}.png", "wb") as bad:
        bad.write(b"no image")
    with pytest.raises(DataError, match=r"skipped\.csv: 1 images could not be read"):
        predict(run, f"--data.predict_dir={folder}", f"--output={tmp_path / 'out'}")
    table = tmp_path / "out" / "predictions.csv"
    shown = BIG5.encode(errors="backslashreplace").decode()
    for path, expected in (
        (table, ["'=b.png", f"{shown}.png", "a.png"]),
        (table.with_name("skipped.csv"), [f"z{shown}.png"]),
    ):
        assert sorted(row["ID"] for row in read_table(path)) == sorted(expected)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["status"] == "finished"
