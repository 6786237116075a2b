"""Stopped and resumed equals uninterrupted, bit for bit; and nothing of a run is lost."""

import csv
import json

import pytest
import torch
from conftest import aoi_args, stopped_fit

from cli import main
from datamodules.errors import DataError


def read_metrics(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def one_run(root):
    (folder,) = (root / "aoi").iterdir()
    return folder


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGKILL"])
def test_interrupted_and_resumed_equals_uninterrupted(aoi_folder, tmp_path, signal_name):
    args = ["--trainer.max_epochs=6", "--data.batch_size=8", "--trainer.log_every_n_steps=1"]
    main(["fit", *aoi_args(aoi_folder, tmp_path / "whole", *args)])
    stopped = stopped_fit(aoi_args(aoi_folder, tmp_path / "cut", *args), 3, signal_name)
    assert stopped.returncode != 0, stopped.stderr
    cut = one_run(tmp_path / "cut")
    assert max(int(row["epoch"]) for row in read_metrics(cut)) <= 3
    if signal_name == "SIGINT":
        assert json.loads((cut / "run.json").read_text())["status"] == "interrupted"

    main(["fit", *aoi_args(aoi_folder, tmp_path / "cut", *args, "--ckpt_path=last")])

    whole = one_run(tmp_path / "whole")
    assert one_run(tmp_path / "cut") == cut, "the resumed run goes on in its folder"
    assert json.loads((cut / "run.json").read_text())["status"] == "finished"
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(cut)[name]), name
    assert read_metrics(cut) == read_metrics(whole)


def test_second_run_leaves_the_first_alone(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path / "runs", "--trainer.max_epochs=1")
    main(["fit", *args])
    first = one_run(tmp_path / "runs")
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    main(["fit", *args])
    assert len(list((tmp_path / "runs" / "aoi").iterdir())) == 2
    assert before == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}


def test_taken_name_and_missing_checkpoints_are_one_clear_error(aoi_folder, tmp_path):
    args = aoi_args(aoi_folder, tmp_path, "--trainer.max_epochs=1", "--run.name=mine")
    with pytest.raises(DataError, match=r"last\.ckpt: no checkpoint to be found"):
        main(["fit", *args, "--ckpt_path=last"])
    with pytest.raises(DataError, match="test needs --ckpt_path"):
        main(["test", *args])
    with pytest.raises(DataError, match=r"gone\.ckpt: no such checkpoint"):
        main(["test", *args, "--ckpt_path=gone.ckpt"])
    (tmp_path / "aoi" / "mine").mkdir(parents=True)
    with pytest.raises(DataError, match="mine: a run of this name exists"):
        main(["fit", *args])


def test_checkpoint_overrules_the_command_line_and_says_so(aoi_folder, tmp_path, caplog):
    args = aoi_args(aoi_folder, tmp_path)
    main(["fit", *args, "--trainer.max_epochs=1", "--model.lr=0.1"])
    cli = main(["fit", *args, "--trainer.max_epochs=2", "--model.lr=0.5", "--ckpt_path=last"])
    assert cli.trainer.optimizers[0].param_groups[0]["lr"] == 0.1
    assert "model.lr is the checkpoint's 0.1, not 0.5" in caplog.text
