"""``cli.py`` where nothing is that POSIX alone has, as far as Linux can show it."""

import subprocess
import sys

import pytest
from conftest import ROOT, aoi_args

# Libraries have looked at the real platform before.
SCRIPT = """
import os, signal, sys
from pathlib import Path
import tiny_network, filelock, matplotlib.pyplot, pytorch_lightning.cli, torchmetrics.image, wandb
for name in "getuid geteuid getgid getpgid setsid fork mkfifo killpg uname sysconf".split():
    delattr(os, name)
del signal.SIGHUP
sys.modules.update(fcntl=None, pwd=None, resource=None)
sys.platform = "win32"
replace = os.replace

def replace_closed(source, target):
    target = os.path.realpath(target)
    held = [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()]
    if target in held or target in Path("/proc/self/maps").read_text():
        raise PermissionError(13, "Access is denied", target)
    replace(source, target)

os.replace = replace_closed
from commandline.exits import run_and_exit
from commandline.verbs import main
args = sys.argv[1:]

def verbs():
    main(["fit", *args, "--trainer.max_epochs=1", "--run.name=x"])
    main(["fit", *args, "--trainer.max_epochs=2", "--ckpt_path=last"])
    main(["test", *args, "--ckpt_path=best"])

run_and_exit(verbs)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_fit_resume_and_test_need_nothing_of_posix(aoi_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    args = aoi_args(aoi_folder, tmp_path / "runs")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *args], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "evaluations" in (tmp_path / "runs/aoi/x/run.json").read_text()
