"""A real W&B run, offline: started, resumed, and read back from its files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from experiment.run_folder import RunSettings
from experiment.wandb_run import (
    finish_wandb,
    is_disabled,
    new_wandb_id,
    start_wandb,
    wandb_mode,
)

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


def records(path: Path):
    """Records of a ``.wandb`` file: LevelDB's log format, each record a protocol buffer."""
    from wandb.proto import wandb_internal_pb2

    data, position, parts = path.read_bytes(), 7, b""  # behind the file's own header
    while position + 7 <= len(data):
        room = 32768 - position % 32768
        if room < 7:
            position += room
            continue
        length = int.from_bytes(data[position + 4 : position + 6], "little")
        kind = data[position + 6]  # 1: whole; 2, 3, 4: first, middle, last part
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(parts)
            parts = b""


def read_run(folder: Path):
    """Id, config, logged values and names of images of one offline run."""
    found = {"ids": set(), "config": {}, "logged": {}}
    (path,) = folder.glob("*.wandb")
    for record in records(path):
        match record.WhichOneof("record_type"):
            case "run":
                found["ids"].add((record.run.run_id, record.run.project, record.run.run_group))
                for item in record.run.config.update:
                    found["config"][item.key] = json.loads(item.value_json)
            case "history":
                for item in record.history.item:
                    key = ".".join(item.nested_key) or item.key
                    found["logged"][key] = json.loads(item.value_json)
    return found


def test_an_offline_run_is_started_and_resumed(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB")}
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    folders = sorted(
        (tmp_path / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_mtime_ns
    )
    assert len(folders) == 2
    for step, folder in enumerate(folders):
        found = read_run(folder)
        assert found["ids"] == {("id0123456789", "lightning_logs", "blots_style")}
        assert found["config"]["run_record"] == {"task": "blots"}
        assert found["logged"]["val/ssim"] == 0.5 + step
        assert found["logged"]["figures/curves.captions"] == ["Curves."]
        (name,) = found["logged"]["figures/curves.filenames"]
        saved = (folder / "files" / name).read_bytes()
        assert saved == (tmp_path / f"curves{step}.png").read_bytes()


def test_ids_differ():
    assert len({new_wandb_id() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("setting", "environment", "disabled"),
    [
        ("auto", "disabled", True),
        ("offline", "disabled", True),
        ("disabled", "online", True),
        ("offline", "online", False),
        ("auto", "dryrun", False),
    ],
)
def test_disabled_and_offline(monkeypatch, tmp_path, setting, environment, disabled):
    monkeypatch.setenv("WANDB_MODE", environment)
    run = RunSettings("aoi", wandb=setting)
    assert is_disabled(run) == disabled
    if disabled:
        assert start_wandb(run, tmp_path, "x", {}, []) is None
    else:
        assert wandb_mode(run) == "offline"


def test_a_run_that_will_not_start_is_a_warning(monkeypatch, tmp_path, caplog):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")

    def refuse(**kwargs):
        raise OSError("no room\nand more")

    monkeypatch.setattr(wandb, "init", refuse)
    assert start_wandb(RunSettings("aoi"), tmp_path, "x", {}, []) is None
    assert [m for m in caplog.messages if "W&B" in m] == ["W&B did not start (offline): no room"]


class PretendWandb:
    """Holds the process's run, as the package does."""

    def __init__(self, run=None):
        self.run, self.finished = run, []

    def finish(self, exit_code):
        self.run = None
        self.finished.append(exit_code)


def begin_and_fail(wandb):
    wandb.run = "own"
    raise KeyError


def test_a_run_ends_with_what_began_it(monkeypatch):
    wandb = PretendWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    with finish_wandb():
        wandb.run = "own"
    wandb.run = None
    with pytest.raises(KeyError), finish_wandb():
        begin_and_fail(wandb)
    assert wandb.finished == [0, 1]
    wandb.run = "of the caller"
    with finish_wandb():
        pass
    assert wandb.run == "of the caller"
