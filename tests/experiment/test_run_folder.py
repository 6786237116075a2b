"""Each run has a folder of its own, and what cannot be one is refused in a line."""

import json
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from common.errors import DataError
from experiment.run_folder import (
    RunSettings,
    discard_run_folder,
    lock_run_folder,
    open_prediction_folder,
    open_run_folder,
    prediction_parent,
)


def make_run(folder):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"task": "aoi"}))
    return folder


@pytest.mark.parametrize("option", ["task", "config", "name"])
@pytest.mark.parametrize(
    "name",
    ["", "..", "a/b", "/etc", "a\\b", "C:", " a", "a ", "a\nb", ".hidden", "x" * 300, "ä" * 150],
)
def test_names_that_are_no_folders_are_refused(option, name):
    with pytest.raises(DataError, match=rf"^run\.{option}: ") as caught:
        RunSettings(**{option: name})
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("name", ["a", "2025-01-02", "[x]*?", "größe 1", "-1", "x" * 200])
def test_names_that_are_folders_work(tmp_path, name):
    run = RunSettings(task="aoi", root=str(tmp_path), name=name)
    folder = open_run_folder(run, None)
    assert folder == tmp_path / "aoi" / name
    make_run(tmp_path / "aoi" / "other")
    folder.rmdir()
    make_run(folder)
    assert run.existing == [folder]


def test_config_names_the_folder_and_root_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunSettings("aoi", root="~/runs").folder == tmp_path / "runs" / "aoi"
    assert RunSettings("aoi", "aoi_best", root="r").folder.as_posix() == "r/aoi_best"


def test_two_runs_of_one_second_have_two_folders(tmp_path):
    run = RunSettings("aoi", root=str(tmp_path))
    folders = {open_run_folder(run, None) for _ in range(3)}
    assert len(folders) == 3


def test_a_root_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(DataError, match=r"runs/aoi/x: cannot be written .*; choose another"):
        open_run_folder(RunSettings("aoi", root=str(tmp_path / "runs"), name="x"), None)


def test_a_checkpoint_brings_its_run_folder(tmp_path):
    own = make_run(tmp_path / "aoi" / "own")
    checkpoint = own / "checkpoints" / "last.ckpt"
    run = RunSettings("aoi", root=str(tmp_path))
    assert open_run_folder(run, checkpoint) == own
    elsewhere = RunSettings("aoi", root=str(tmp_path), name="elsewhere")
    assert open_run_folder(elsewhere, checkpoint) == tmp_path / "aoi" / "elsewhere"


def test_only_an_empty_folder_is_discarded(tmp_path):
    folder = open_run_folder(RunSettings("aoi", root=str(tmp_path)), None)
    lock_run_folder(folder).release()
    discard_run_folder(folder)
    assert list(tmp_path.iterdir()) == []
    folder = make_run(tmp_path / "aoi" / "a")
    lock_run_folder(folder).release()
    discard_run_folder(folder)
    assert (folder / "run.json").exists()


def test_each_prediction_has_a_folder_of_its_own(tmp_path):
    folder = make_run(tmp_path / "aoi" / "a")
    parent = prediction_parent(folder / "checkpoints" / "last.ckpt")
    sources = ("/data/new", "/data/new", "sample", "/")
    found = [open_prediction_folder(parent, source, None) for source in sources]
    names = [path.relative_to(folder / "predictions").as_posix() for path in found]
    assert names == ["new", "new-2", "sample", "root"]
    assert prediction_parent(tmp_path / "model.ckpt") == tmp_path


def test_a_chosen_output_is_new_or_empty(tmp_path):
    output = tmp_path / "a" / "b"
    assert open_prediction_folder(tmp_path, "x", output) == output
    assert open_prediction_folder(tmp_path, "x", output) == output
    (output / "predictions.csv").write_text("")
    with pytest.raises(DataError, match=f"{output}: --output is not empty"):
        open_prediction_folder(tmp_path, "x", output)


HOLD = """
import os, sys, time
from pathlib import Path
from experiment.run_folder import lock_run_folder
lock = lock_run_folder(Path(sys.argv[1]))
if os.fork():  # as a data loader does
    print("locked", flush=True)
time.sleep(60)
"""


def test_lock_is_refused_to_a_second_process_and_ends_with_the_first(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(DataError, match=f"{tmp_path}: another process is training here"):
            lock_run_folder(tmp_path)
        holder.send_signal(signal.SIGKILL)  # its worker lives on
        holder.wait()
        lock_run_folder(tmp_path).release()
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
