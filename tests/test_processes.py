"""Two processes give what one gives: each sample counted once, files whole, also in odd splits."""

import csv
import json
import subprocess
import sys

import pytest
from conftest import ROOT, config_args, one_run

from cli import main

# Splits that are not even over two processes, and one with fewer samples than these.
SPLITS = {
    "aoi": ["--data.val_fraction=0.16"],  # of 560: 89
    "vessels": ["--data.val_size=3"],
    "retina_compress": ["--data.val_size=1"],
    "blots": ["--data.eval_batch_size=5"],  # 24 in batches of 5
}
TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]


def as_process(*args):
    command = [sys.executable, "cli.py", *args]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("config", SPLITS)
def test_two_processes_score_as_one(config, tmp_path):
    exact = ["--trainer.precision=32-true", "--trainer.max_epochs=1"]
    args = config_args(config, tmp_path, *SPLITS[config], *exact)
    main(["fit", *args, "--trainer.limit_train_batches=2"])
    args.append("--ckpt_path=last")
    one = main(["validate", *args]).trainer.callback_metrics
    one = {name: float(value) for name, value in one.items()}
    as_process("validate", *args, *TWO)
    (evaluation,) = json.loads((one_run(tmp_path) / "run.json").read_text())["evaluations"]
    assert evaluation["devices"] == 2
    assert evaluation["metrics"] == pytest.approx(one, abs=1e-6, nan_ok=True)


def test_two_processes_predict_as_one(aoi_folder, tmp_path):
    for path in sorted((aoi_folder / "test_images").iterdir())[:1]:
        path.unlink()  # and its row: 11 images
    rows = (aoi_folder / "test.csv").read_text().splitlines()
    (aoi_folder / "test.csv").write_text("\n".join([rows[0], *rows[2:]]) + "\n")
    args = config_args("aoi", tmp_path / "runs", f"--data.data_dir={aoi_folder}")
    main(["fit", *args, "--trainer.max_epochs=1"])
    args.append("--ckpt_path=last")
    main(["predict", *args, f"--output={tmp_path / 'one'}"])
    as_process("predict", *args, f"--output={tmp_path / 'two'}", *TWO)
    names = ("predictions.csv", "probabilities.csv")
    tables = [
        [list(csv.reader((tmp_path / n / name).open())) for name in names] for n in ("one", "two")
    ]
    assert len(tables[0][0]) == 1 + 11
    assert tables[0] == tables[1]
