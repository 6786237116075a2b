"""The first result waits for torch, and for nothing that a prediction does not need."""

import subprocess
import sys

from conftest import ROOT

SLOW = ("pytorch_lightning", "torchmetrics", "matplotlib", "wandb", "rich", "cli", "callbacks")


def test_a_prediction_imports_nothing_slow(trained, tmp_path):
    from PIL import Image

    Image.new("L", (32, 32), 99).save(tmp_path / "panel.png")
    program = (
        "import sys; from inference import load\n"
        "print(load(sys.argv[1]).predict(sys.argv[2]).label)\n"
        f"print(sorted(set({SLOW!r}) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, str(trained("aoi")), str(tmp_path / "panel.png")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    label, imported = done.stdout.splitlines()
    assert label in ("normal", "void", "horizontal", "vertical", "edge", "particle")
    assert imported == "[]"
