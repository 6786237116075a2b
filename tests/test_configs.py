"""Every config of the project through the real command line, on the built-in sample."""

import json

import pytest
import torch
from conftest import CONFIGS, config_args, one_run

from cli import main

LIMITS = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.limit_predict_batches=1",
    "--trainer.log_every_n_steps=1",
]


@pytest.mark.parametrize("config", CONFIGS)
def test_config_runs_through_every_subcommand(config, tmp_path):
    args = config_args(config, tmp_path, *LIMITS, figures=True)
    main(["fit", *args])
    folder = one_run(tmp_path)
    assert folder.parent.name == config
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert (folder / "report.html").exists()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["sample"] is True
    assert record["task"] == config.partition("_")[0]
    trained = (folder / "metrics.csv").read_text()
    assert "val/" in trained.splitlines()[0]

    for subcommand in ("validate", "test", "predict"):
        main([subcommand, *args, "--ckpt_path=best"])
        assert one_run(tmp_path) == folder
    record = json.loads((folder / "run.json").read_text())
    assert [one["stage"] for one in record["evaluations"]] == ["validate", "test"]
    assert record["stage"] == "fit"
    assert (folder / "metrics.csv").read_text() == trained, "evaluations are rows of their own"
    assert list((folder / "predictions").iterdir())

    # All that makes the model and its input is in the checkpoint, as plain values.
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert set(checkpoint["hyper_parameters"]) >= {"_class_path"}
    assert checkpoint["datamodule_hyper_parameters"]["_class_path"].startswith("datamodules.")
