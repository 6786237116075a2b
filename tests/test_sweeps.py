"""Searches over settings: the W&B sweep's command line, and the Optuna example."""

import runpy
import sys

import pytest
import yaml
from conftest import ROOT, config_args, write_aoi

from cli import main

SMALL = [
    "--data.folds=2",  # of few images
    "--trainer.max_epochs=1",
    "--trainer.limit_train_batches=1",
    "--trainer.callbacks=[{class_path: callbacks.BestCheckpoint, init_args: {monitor: val/loss}}]",
]


@pytest.fixture
def small(tmp_path):
    """Options of a run of seconds, behind those of a search."""
    images = write_aoi(tmp_path / "images", images_per_class=2)
    return [*config_args("aoi_best", tmp_path / "runs", f"--data.data_dir={images}")[1:], *SMALL]


def test_the_sweeps_command_line_trains(small, tmp_path, monkeypatch):
    """As `wandb agent` makes it, with the largest value of each parameter."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = yaml.safe_load((ROOT / "configs" / "sweeps" / "aoi.yaml").read_text())
    chosen = {
        name: {"value": one["values"][-1] if "values" in one else one["max"]}
        for name, one in sweep["parameters"].items()
    }
    macros = {
        "${env}": ["/usr/bin/env"],
        "${interpreter}": ["python"],
        "${program}": [sweep["program"]],
        "${args}": create_sweep_command_args({"args": chosen})["args"],
    }
    command = [
        word for part in create_sweep_command(sweep["command"]) for word in macros.get(part, [part])
    ]
    assert command[:4] == ["/usr/bin/env", "python", "cli.py", "fit"]
    assert (ROOT / command[2]).is_file()
    monkeypatch.chdir(ROOT)
    cli = main([*command[3:], *small])
    config = cli.config
    assert config.model.init_args.optimizer.init_args.lr == chosen["model.optimizer.lr"]["value"]
    assert config.data.init_args.augmentation.init_args.rotation == 15
    assert sweep["metric"]["name"] in cli.trainer.callback_metrics


def test_the_optuna_example(small, tmp_path, monkeypatch):
    optuna = pytest.importorskip("optuna")
    example = ROOT / "configs" / "sweeps" / "optuna_aoi.py"
    monkeypatch.setattr(sys, "argv", [str(example), *small])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    space = runpy.run_path(str(example), run_name="example")
    study = optuna.create_study()
    study.optimize(space["objective"], n_trials=2)
    assert len({trial.params["model.optimizer.lr"] for trial in study.trials}) == 2
    assert study.best_value == min(trial.value for trial in study.trials) > 0
    assert len(list((tmp_path / "runs" / "aoi_best").glob("*/run.json"))) == 2
