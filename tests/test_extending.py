"""The fifth task that docs/extending.md shows runs as it stands there."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.scripts

# In one process: the imports take longer than the rest.
PROGRAM = """
from pathlib import Path
from cli import main
main(["fit", "--config=configs/digits.yaml", "--trainer.max_epochs=2"])
main(["test", "--config=configs/digits.yaml", "--ckpt_path=best"])

import gradio
from demo.page import build
from inference import load
from inference.export import export
(run,) = Path("runs/digits").iterdir()
model = load(run)
images = model.examples(20)
assert len({result.label for result in model.predict(images)}) > 4
exported, ensemble = load(export(run) / "model.onnx"), load([run, run])
for x in images[:3]:
    p, *others = (m.predict(x).probabilities for m in (model, exported, ensemble))
    assert all(abs(p[name] - q[name]) < 1e-3 for q in others for name in p)
assert isinstance(build(model), gradio.Blocks)
"""


def test_a_fifth_task_is_four_files(tmp_path):
    copy = tmp_path / "project"
    parts = "callbacks commandline common configs datamodules demo experiment inference lit_models"
    for part in parts.split():
        shutil.copytree(ROOT / part, copy / part)
    shutil.copy(ROOT / "cli.py", copy)
    text = (ROOT / "docs" / "extending.md").read_text()
    files = re.findall(r"^`(\S+)`\n\n```(?:python|yaml)\n(.*?)^```", text, re.M | re.S)
    folders = [path.partition("/")[0] for path, _ in files]
    assert folders == ["datamodules", "lit_models", "configs", "inference"]
    for path, content in files:
        (copy / path).write_text(content)
    added = re.findall(r"^At the end of `(\S+)`\n\n```python\n(.*?)^```", text, re.M | re.S)
    for path, content in added:
        (copy / path).write_text((copy / path).read_text() + content)
    # Before the installed project; and where the page keeps its examples.
    env = os.environ | {"PYTHONPATH": str(copy), "GRADIO_TEMP_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder,) = (copy / "runs" / "digits").iterdir()
    assert (folder / "report.html").exists()
    assert list((folder / "checkpoints").glob("epoch=*-val_accuracy=*.ckpt"))
