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
FIT_AND_TEST = """
from cli import main
main(["fit", "--config=configs/digits.yaml", "--trainer.max_epochs=2"])
main(["test", "--config=configs/digits.yaml", "--ckpt_path=best"])
"""


def test_a_fifth_task_is_three_files(tmp_path):
    copy = tmp_path / "project"
    parts = "callbacks common configs datamodules experiment inference lit_models"
    for part in parts.split():
        shutil.copytree(ROOT / part, copy / part)
    shutil.copy(ROOT / "cli.py", copy)
    text = (ROOT / "docs" / "extending.md").read_text()
    files = re.findall(r"^`(\S+)`\n\n```(?:python|yaml)\n(.*?)^```", text, re.M | re.S)
    assert [path.partition("/")[0] for path, _ in files] == ["datamodules", "lit_models", "configs"]
    for path, content in files:
        (copy / path).write_text(content)
    env = os.environ | {"PYTHONPATH": str(copy)}  # before the installed project
    command = [sys.executable, "-c", FIT_AND_TEST]
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder,) = (copy / "runs" / "digits").iterdir()
    assert (folder / "report.html").exists()
    assert list((folder / "checkpoints").glob("epoch=*-val_accuracy=*.ckpt"))
