"""Two processes give what one gives: each sample counted once, files whole."""

import csv
import json
import subprocess
import sys

import pytest
from conftest import ROOT, aoi_args

from cli import main


def test_two_processes_score_and_predict_as_one(aoi_folder, tmp_path):
    # 47 training images, so that neither split is even over two processes.
    rows = (aoi_folder / "train.csv").read_text().splitlines()
    (aoi_folder / "train.csv").write_text("\n".join(rows[:-1]) + "\n")
    main(["fit", *aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1")])
    (folder,) = (tmp_path / "aoi").iterdir()
    args = aoi_args(aoi_folder, tmp_path, f"--ckpt_path={folder}/checkpoints/last.ckpt")
    one = main(["validate", *args]).trainer.callback_metrics
    main(["predict", *args])
    predictions = (folder / "predictions.csv").read_text()
    (folder / "predictions.csv").unlink()

    two = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    for subcommand in ("validate", "predict"):
        command = [sys.executable, "cli.py", subcommand, *args, *two]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    assert (folder / "predictions.csv").read_text() == predictions
    assert json.loads((folder / "run.json").read_text())["validate"]["devices"] == 2
    with (folder / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    for name, value in one.items():
        assert float(last[name]) == pytest.approx(float(value), abs=1e-6), name
