"""A real W&B run, offline: started, resumed, and read back from its files."""

import os
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
from conftest import ROOT

from experiment.run_folder import RunSettings
from experiment.wandb_run import finish_wandb, new_wandb_id, start_wandb

PROCESS = """
import sys, time
from pathlib import Path
from PIL import Image
from experiment.run_folder import RunSettings
from experiment.wandb_run import start_wandb
folder = Path(sys.argv[1])
# A project of the name of a logger of Lightning's, which once kept it from starting.
run = RunSettings("blots", "blots_style", wandb="offline", project="lightning_logs")
for step in (0, 1):
    logger = start_wandb(run, folder, "id0123456789", {"run_record": {"task": "blots"}}, ["sample"])
    logger.log_metrics({"val/ssim": 0.5 + step}, step)
    Image.linear_gradient("L").resize((9 + step, 9)).save(folder / f"curves{step}.png")
    logger.log_image("figures/curves", [str(folder / f"curves{step}.png")], caption=["Curves."])
    logger.experiment.finish()
    time.sleep(1)  # W&B names its folder by the second
"""


def test_an_offline_run_is_started_and_resumed(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stderr=-1, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    folders = (tmp_path / "wandb").glob("offline-run-*")
    folders = sorted(folders, key=lambda path: path.stat().st_mtime_ns)
    assert len(folders) == 2
    for step, folder in enumerate(folders):
        (path,) = folder.glob("*.wandb")
        kept = path.read_bytes()  # protocol buffers, whose texts stand in them as they are
        texts = ["id0123456789", "lightning_logs", "blots_style", '{"task":"blots"}']
        texts += ["val/ssim", str(0.5 + step), "figures/curves", "Curves."]
        assert [text for text in texts if text.encode() not in kept] == []
        (saved,) = (folder / "files").rglob("curves*.png")
        assert saved.read_bytes() == (tmp_path / f"curves{step}.png").read_bytes()


def test_ids_differ_but_for_a_sweep_which_chooses_its_own(monkeypatch):
    assert len({new_wandb_id() for _ in range(100)}) == 100
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    assert new_wandb_id() != "abc"
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert new_wandb_id() == "abc"


@pytest.mark.parametrize(
    ("setting", "environment", "mode"),
    [
        ("auto", "disabled", "disabled"),
        ("disabled", "online", "disabled"),
        ("offline", "online", "offline"),
        ("auto", "dryrun", "offline"),
    ],
)
def test_disabled_and_offline(monkeypatch, tmp_path, setting, environment, mode):
    monkeypatch.setenv("WANDB_MODE", environment)
    modes = []
    monkeypatch.setattr("wandb.init", lambda **settings: modes.append(settings["mode"]))
    start_wandb(RunSettings("aoi", wandb=setting), tmp_path, "x", {}, [])
    assert modes == ([] if mode == "disabled" else [mode])


def test_a_run_that_will_not_start_is_a_warning(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("WANDB_MODE", "offline")

    def refuse(**kwargs):
        raise OSError("no room\nand more")

    monkeypatch.setattr("wandb.init", refuse)
    assert start_wandb(RunSettings("aoi"), tmp_path, "x", {}, []) is None
    assert [m for m in caplog.messages if "W&B" in m] == ["W&B did not start (offline): no room"]


@pytest.mark.parametrize("error", [None, KeyError])
def test_a_run_ends_with_what_began_it(monkeypatch, error):
    statuses = []
    wandb = SimpleNamespace(run=None, finish=lambda exit_code: statuses.append(exit_code))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with suppress(KeyError), finish_wandb():
        wandb.run = "own"
        if error:
            raise error
    assert statuses == [1 if error else 0]
