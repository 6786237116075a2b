"""Small trained runs, one a config, that all tests here share."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import config_args, one_run

from callbacks.run_recorder import run_folder
from cli import main

LIMITS = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--run.name=run"]
# Whose graphs are exported in seconds: few copies of the network.
QUICK = {
    "vessels_best": ["--model.inference.tta=4", "--model.inference.scales=[0.8]"],
}
_RUNS: dict[str, Path] = {}


@pytest.fixture
def trained(tmp_path_factory) -> Callable[[str], Path]:
    """The run folder of a config, trained for two steps on the sample at first use."""

    def run(config: str) -> Path:
        if config not in _RUNS:
            root = tmp_path_factory.mktemp(config)
            main(["fit", *config_args(config, root, *LIMITS, *QUICK.get(config, []))])
            _RUNS[config] = one_run(root)
        return _RUNS[config]

    return run


@pytest.fixture
def predict() -> Callable[..., Path]:
    """``cli.py predict`` of a run: the folder it wrote."""

    def run(folder: Path, *more: str) -> Path:
        config = folder.parent.name
        args = config_args(config, folder.parent.parent, *QUICK.get(config, []), *more)
        cli = main(["predict", *args, f"--ckpt_path={folder / 'checkpoints' / 'last.ckpt'}"])
        return run_folder(cli.trainer)

    return run
