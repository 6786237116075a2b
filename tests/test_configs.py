"""Every config of the project through the real command line, on the built-in sample."""

import json
from pathlib import Path

import pytest
from conftest import ROOT

from cli import main

LIMITS = [
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=2",
    "--trainer.limit_val_batches=1",
    "--trainer.limit_test_batches=1",
    "--trainer.limit_predict_batches=1",
    "--trainer.check_val_every_n_epoch=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.accelerator=cpu",
]
# Smaller networks and images than the methods', so that the whole list takes a minute.
SMALL = {
    "aoi": ["--data.image_size=32", "--data.num_workers=0", "--model.weights=random"],
    "vessels": ["--model.widths=[4,8]"],
    "retina": ["--model.widths=[4,8]"],
    "blots": [],
}
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_config_runs_through_every_subcommand(config: Path, tmp_path):
    small = SMALL.get(config.stem.partition("_")[0], [])
    args = [f"--config={config}", f"--run.root={tmp_path}", *small, *LIMITS]
    main(["fit", *args])
    (folder,) = (tmp_path / config.stem).iterdir()
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert (folder / "report.html").exists()
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["sample"] is True
    for subcommand in ("validate", "test", "predict"):
        main([subcommand, *args, "--ckpt_path=best"])
        assert list((tmp_path / config.stem).iterdir()) == [folder]
    header = (folder / "metrics.csv").read_text().splitlines()[0]
    assert "val/" in header
    assert "test/" in header
