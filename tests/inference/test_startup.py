"""The first result waits for torch, and for nothing that a prediction does not need."""

import subprocess
import sys

from conftest import ROOT, aoi_args, one_run, write_aoi

from cli import main

SLOW = ("pytorch_lightning", "torchmetrics", "matplotlib", "wandb", "rich", "cli", "callbacks")


def test_a_prediction_imports_nothing_slow(tmp_path):
    images = write_aoi(tmp_path / "images", images_per_class=2)
    network = "--model.network.name=shufflenet_v2_x0_5"  # the other process has no tiny one
    main(["fit", *aoi_args(images, tmp_path / "runs", network, "--trainer.max_epochs=1")])
    run, panel = one_run(tmp_path / "runs"), next((images / "test_images").iterdir())
    program = (
        "import sys; from inference import load\n"
        "print(load(sys.argv[1]).predict(sys.argv[2]).label)\n"
        f"print(sorted(set({SLOW!r}) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(run), str(panel)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    label, imported = done.stdout.splitlines()
    assert label in ("normal", "void", "horizontal", "vertical", "edge", "particle")
    assert imported == "[]"
