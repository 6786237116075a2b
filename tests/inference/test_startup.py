"""The first result waits for torch, and for nothing that a prediction does not need."""

import subprocess
import sys

from conftest import ROOT, aoi_args, one_run, write_aoi
from PIL import Image

from cli import main

SLOW = ("pytorch_lightning", "torchmetrics", "matplotlib", "wandb", "rich", "cli", "callbacks")


def test_a_prediction_imports_nothing_slow(tmp_path):
    images = write_aoi(tmp_path / "images", images_per_class=2)
    network = "--model.network.name=shufflenet_v2_x0_5"  # the other process has no tiny one
    main(["fit", *aoi_args(images, tmp_path / "runs", network, "--trainer.max_epochs=1")])
    Image.new("RGB", (64, 48), (90, 60, 30)).save(tmp_path / "photo.png")
    program = (
        "import sys; from inference import blots, load\n"
        "print(load(sys.argv[2]).predict(sys.argv[1]).label)\n"
        "print(load('pretrained/vessels_best.ckpt').predict(sys.argv[1]).mask.shape)\n"
        f"print(sorted(set({SLOW!r}) & set(sys.modules)))"
    )
    run = str(one_run(tmp_path / "runs"))
    command = [sys.executable, "-c", program, str(tmp_path / "photo.png"), run]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    label, shape, imported = done.stdout.splitlines()
    assert label in [f"class {number}" for number in range(6)]
    assert shape == "(48, 64)"
    assert imported == "[]"
