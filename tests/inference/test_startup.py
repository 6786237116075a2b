"""The first result waits for torch, and for nothing that a prediction does not need."""

import subprocess
import sys

from conftest import ROOT
from PIL import Image

SLOW = ("pytorch_lightning", "torchmetrics", "matplotlib", "wandb", "rich", "cli", "callbacks")


def test_a_prediction_imports_nothing_slow(tmp_path):
    Image.new("RGB", (64, 48), (90, 60, 30)).save(tmp_path / "photo.png")
    program = (
        "import sys; from inference import blots, defects, load\n"
        "print(load('pretrained/vessels_best.ckpt').predict(sys.argv[1]).mask.shape)\n"
        f"print(sorted(set({SLOW!r}) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "photo.png")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    shape, imported = done.stdout.splitlines()
    assert shape == "(48, 64)"
    assert imported == "[]"
