"""Tiny data sets, written at test time in the layouts that users have."""

import csv
import os
import subprocess
import sys
from pathlib import Path

# Networks this small gain nothing from a second thread, and lose much where cores are busy.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch, tmp_path_factory, caplog):
    """No W&B, no download, and a cache of drawn samples that the whole test run shares."""
    caplog.set_level("INFO")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "torch"))
    monkeypatch.setattr("sys.argv", ["cli.py"])


def write_aoi(folder: Path, images_per_class: int = 8, side: int = 32) -> Path:
    """Write the AIdea layout: six classes told apart by brightness, and a labelled test.csv."""
    rng = np.random.default_rng(0)
    for split, count in (("train", images_per_class), ("test", 2)):
        (folder / f"{split}_images").mkdir(parents=True)
        rows = []
        for index in range(6 * count):
            label = index % 6
            pixels = rng.normal(30 + 40 * label, 8, (side, side)).clip(0, 255).astype(np.uint8)
            name = f"{split}_{index:05d}.png"
            Image.fromarray(pixels).save(folder / f"{split}_images" / name)
            rows.append((name, label))
        with (folder / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("ID", "Label"), *rows])
    return folder


@pytest.fixture
def aoi_folder(tmp_path):
    return write_aoi(tmp_path / "images")


def stopped_fit(args: list[str], epoch: int, signal_name: str) -> subprocess.CompletedProcess:
    """``cli.py fit`` as a process that gets a signal within an epoch, see ``StopAt``."""
    stop = [
        "--trainer.callbacks+=tests.callbacks_that_kill.StopAt",
        f"--trainer.callbacks.epoch={epoch}",
        f"--trainer.callbacks.signal_name={signal_name}",
    ]
    command = [sys.executable, "cli.py", "fit", *args, *stop]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def aoi_args(folder: Path | None, root: Path, *more: str) -> list[str]:
    """Arguments behind ``cli.py <subcommand>`` for a small, fast AOI run."""
    data = [] if folder is None else [f"--data.data_dir={folder}"]
    return [
        f"--config={ROOT / 'configs' / 'aoi.yaml'}",
        *data,
        f"--run.root={root}",
        "--data.image_size=32",
        "--data.num_workers=0",
        "--model.weights=random",
        "--trainer.accelerator=cpu",
        *more,
    ]
